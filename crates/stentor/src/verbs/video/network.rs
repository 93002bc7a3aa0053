//! What a film is simulated over: a trace in one of the forms of the field.
