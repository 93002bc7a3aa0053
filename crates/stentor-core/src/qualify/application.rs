//! The seven kinds of application: what the lecture says they need, and the numbers that
//! standards give for it.
//!
//! Sources: ITU-T G.114 (05/2003), one-way delay; G.1010 (11/2001), tables I.1 and I.2; Y.1541
//! (12/2011), class 0; Beigbeder et al., "The effects of loss and latency on user performance in
//! Unreal Tournament 2003", NetGames 2004. Where they name a preferred and an acceptable value,
//! the acceptable one is the threshold, but for conversation, where G.114 draws the line at the
//! delay that goes unnoticed.

use std::str::FromStr;

use super::{OverrideError, Quantity, Threshold, Transport};

/// A kind of application of the lecture's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Application {
    /// File transfer.
    File,
    /// E-mail.
    Mail,
    /// Web documents.
    Web,
    /// Real-time audio and video: a conversation.
    Voip,
    /// Stored audio and video.
    Video,
    /// Interactive games.
    Game,
    /// Text messaging.
    Chat,
}

/// A row of the lecture's table, in its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Whether loss is tolerated.
    pub loss: &'static str,
    /// What must pass.
    pub throughput: &'static str,
    /// Whether delay matters.
    pub time: &'static str,
}

impl Application {
    /// All, in the lecture's order.
    pub const ALL: [Application; 7] = [
        Application::File,
        Application::Mail,
        Application::Web,
        Application::Voip,
        Application::Video,
        Application::Game,
        Application::Chat,
    ];

    /// The word for it in `--for`.
    pub const fn name(self) -> &'static str {
        match self {
            Application::File => "file",
            Application::Mail => "mail",
            Application::Web => "web",
            Application::Voip => "voip",
            Application::Video => "video",
            Application::Game => "game",
            Application::Chat => "chat",
        }
    }

    /// What the lecture calls it.
    pub const fn title(self) -> &'static str {
        match self {
            Application::File => "file transfer",
            Application::Mail => "e-mail",
            Application::Web => "Web documents",
            Application::Voip => "real-time audio/video",
            Application::Video => "stored audio/video",
            Application::Game => "interactive games",
            Application::Chat => "text messaging",
        }
    }

    /// All words, for messages: `file, mail ... and chat`.
    pub(super) fn names() -> String {
        Application::ALL.map(Application::name).join(", ")
    }

    /// What the lecture says it needs.
    pub const fn needs(self) -> Needs {
        let (loss, throughput, time) = match self {
            Application::File | Application::Mail | Application::Web => ("none", "elastic", "no"),
            Application::Voip => (
                "tolerant",
                "audio 5 kbit/s-1 Mbit/s, video 10 kbit/s-5 Mbit/s",
                "yes, hundreds of ms",
            ),
            Application::Video => {
                ("tolerant", "audio 5 kbit/s-1 Mbit/s, video 10 kbit/s-5 Mbit/s", "yes, a few s")
            }
            Application::Game => ("tolerant", "a few kbit/s up", "yes, hundreds of ms"),
            Application::Chat => ("none", "elastic", "yes and no"),
        };
        Needs { loss, throughput, time }
    }

    /// The transport that serves it best, and the reason.
    pub const fn preferred(self) -> (Transport, &'static str) {
        match self {
            Application::File | Application::Mail | Application::Web | Application::Chat => {
                (Transport::Tcp, "every byte must arrive, in order; delay only costs patience")
            }
            Application::Video => (
                Transport::Tcp,
                "the client's buffer hides what repairing losses costs in delay, and no picture is torn",
            ),
            Application::Voip | Application::Game => (
                Transport::Udp,
                "what comes too late is worthless: better lost than waiting for its repair",
            ),
        }
    }

    /// The transport that may serve it where the preferred one does not do, and the reason.
    pub const fn otherwise(self) -> Option<(Transport, &'static str)> {
        match self {
            Application::Voip | Application::Game => Some((
                Transport::Tcp,
                "datagrams do not do here, and the stream's delay, repairs included, is short enough",
            )),
            Application::File
            | Application::Mail
            | Application::Web
            | Application::Chat
            | Application::Video => None,
        }
    }

    /// The thresholds on it by a transport.
    pub const fn thresholds(self, transport: Transport) -> &'static [Threshold] {
        use Quantity::{Delay, Jitter, Loss, Throughput, Transaction};
        const NONE_LOST: Threshold =
            Threshold::at_most(Loss, 0.0, "the lecture: no loss; G.1010, table I.2: zero");
        const FILE: &[Threshold] = &[
            NONE_LOST,
            // 10 MB in 60 s.
            Threshold::at_least(
                Throughput,
                10e6 * 8.0 / 60.0,
                "G.1010, table I.2: bulk data, 10 MB within 60 s",
            ),
        ];
        const MAIL: &[Threshold] = &[
            NONE_LOST,
            Threshold::at_most(Transaction, 4.0, "G.1010, table I.2: e-mail, server access"),
        ];
        const WEB: &[Threshold] = &[
            NONE_LOST,
            Threshold::at_most(Transaction, 4.0, "G.1010, table I.2: Web-browsing, a page"),
        ];
        const CHAT: &[Threshold] = &[
            NONE_LOST,
            Threshold::at_most(Delay, 2.0, "G.1010, table I.2: transactions, preferred"),
        ];
        const VIDEO: &[Threshold] = &[
            NONE_LOST,
            Threshold::at_least(Throughput, 5e6, "the lecture: video up to 5 Mbit/s"),
            Threshold::at_most(Delay, 10.0, "G.1010, table I.1: one-way video"),
        ];
        const VOIP: &[Threshold] = &[
            Threshold::at_most(Loss, 0.03, "G.1010, table I.1: conversational voice"),
            Threshold::at_most(Delay, 0.150, "G.114: what goes unnoticed"),
            Threshold::at_most(Jitter, 0.050, "Y.1541, class 0: IPDV"),
            Threshold::at_least(Throughput, 64e3, "G.1010, table I.1: conversational voice"),
        ];
        const GAME: &[Threshold] = &[
            Threshold::at_most(Loss, 0.05, "Beigbeder et al. 2004: up to 5% goes unnoticed"),
            Threshold::at_most(Delay, 0.200, "G.1010, table I.2: interactive games"),
            Threshold::at_most(Jitter, 0.050, "Y.1541, class 0: IPDV"),
            Threshold::at_least(Throughput, 10e3, "the lecture: a few kbit/s up"),
        ];
        match (self, transport) {
            (Application::File, _) => FILE,
            (Application::Mail, _) => MAIL,
            (Application::Web, _) => WEB,
            (Application::Chat, _) => CHAT,
            (Application::Video, _) => VIDEO,
            (Application::Voip, _) => VOIP,
            (Application::Game, _) => GAME,
        }
    }
}

impl FromStr for Application {
    type Err = OverrideError;

    fn from_str(written: &str) -> Result<Application, OverrideError> {
        let known = Application::ALL.into_iter().find(|one| one.name() == written);
        known.ok_or_else(|| OverrideError::Application(written.to_owned()))
    }
}
