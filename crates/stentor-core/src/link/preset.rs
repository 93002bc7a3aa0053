//! Links by name, with the sources of their figures.

/// A link that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name in a link's words.
    pub name: &'static str,
    /// What it is set to, in a link's words.
    pub words: &'static str,
    /// Where the figures come from.
    pub source: &'static str,
}

/// Every preset.
pub const PRESETS: [Preset; 6] = [
    Preset {
        name: "3g",
        words: "delay=75ms,up:rate=768kbit,down:rate=1600kbit",
        source: "sitespeed.io throttle, profile 3g: 768 kbit/s up, 1600 down, round trip 150 ms",
    },
    Preset {
        name: "edge",
        words: "delay=420ms,up:rate=200kbit,down:rate=240kbit",
        source: "WebPageTest connectivity, Mobile EDGE: 200 kbit/s up, 240 down, round trip 840 ms",
    },
    Preset {
        name: "dsl",
        words: "delay=25ms,up:rate=384kbit,down:rate=1500kbit",
        source: "WebPageTest connectivity, DSL: 384 kbit/s up, 1.5 Mbit/s down, round trip 50 ms",
    },
    Preset {
        name: "satellite",
        words: "delay=280ms,loss=0.1%,up:rate=3Mbit,down:rate=25Mbit",
        source: "RFC 2488 section 2",
    },
    Preset {
        name: "wifi",
        words: "delay=20ms,rate=30Mbit,loss=0.2%",
        source: "Comcast (tylertreat), WIFI (good): 40 ms, 30 Mbit/s, 0.2 %",
    },
    Preset { name: "starlink", words: "delay=20ms,loss=1%", source: "Starlink" },
];
