//! Links by name, with the sources of their figures.
//!
//! Half of a source's round trip is the delay of each direction. Queues are the usual 100 packets,
//! except where that many would take ten seconds and more to leave.

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
        words: "delay=150ms,up:rate=768kbit,down:rate=1600kbit",
        source: "WebPageTest, connectivity profile 3G: 768 kbit/s up, 1.6 Mbit/s down, round trip \
                 300 ms",
    },
    Preset {
        name: "edge",
        words: "delay=420ms,up:rate=200kbit,down:rate=240kbit,queue=20p",
        source: "WebPageTest, connectivity profile Mobile EDGE: 200 kbit/s up, 240 kbit/s down, \
                 round trip 840 ms",
    },
    Preset {
        name: "dsl",
        words: "delay=25ms,up:rate=384kbit,down:rate=1500kbit",
        source: "WebPageTest, connectivity profile DSL: 384 kbit/s up, 1.5 Mbit/s down, round trip \
                 50 ms",
    },
    Preset {
        name: "satellite",
        words: "delay=279ms,up:rate=2540kbit,down:rate=19300kbit,queue=1MiB",
        source: "delay: RFC 2488 section 2, geostationary, at most 279.0 ms one way from ground to \
                 ground; rates: Ookla, third quarter of 2021, medians of HughesNet: 2.54 Mbit/s up, \
                 19.30 down; queue: about what is on its way in a round trip",
    },
    Preset {
        name: "wifi",
        words: "delay=20ms,rate=30Mbit,loss=0.2%",
        source: "Comcast (github.com/tylertreat/comcast), profile WIFI (good): latency 40 ms, 30 \
                 Mbit/s, 0.2 % lost",
    },
    Preset {
        name: "starlink",
        words: "delay=22ms,jitter=10ms:normal,order=keep,up:rate=13540kbit,down:rate=87250kbit,\
                queue=1MiB",
        source: "rates and delay: Ookla, third quarter of 2021, medians of Starlink: 13.54 Mbit/s \
                 up, 87.25 down, round trip 44 ms; jitter: Michel et al., \"A First Look at Starlink \
                 Performance\", IMC 2022, round trips with quartiles of 40 and 60 ms; loss comes with \
                 changes of satellite and is left to burst=P/R",
    },
];
