// What is played, from an HLS playlist (RFC 8216): its qualities, and where the chunks of each are.
//
// A film is { qualities, exact }; a quality { name, rate_bps, mime, initialization, chunks }; a chunk
// { url, range, seconds, bytes }. Bytes are known before the request only where the origin has the
// sizes in a file of their own (the JSON of a generated film).

async function text(url, signal) {
  let answer;
  try {
    answer = await fetch(url, { signal, cache: "no-cache" });
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error(`GET ${path(url)}: no answer (${error.message}); is the origin still running?`);
  }
  if (!answer.ok) { throw new Error(`GET ${path(url)}: ${answer.status} ${answer.statusText}`); }
  return answer.text();
}

/** The part of a URL that this origin's log shows. */
export function path(url) {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

/** The attributes of a tag (4.2): NAME=value and NAME="value", with commas between them. */
function attributes(list) {
  const found = list.matchAll(/([A-Z0-9-]+)=(?:"([^"]*)"|([^,]*))/g);
  return new Map([...found].map(([, name, quoted, plain]) => [name, quoted ?? plain]));
}

/** Splits "#EXT-X-NAME:rest" and gives [name, rest]; a reference has the name "". */
function lines(playlist) {
  const written = playlist.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== "");
  if (!written[0]?.startsWith("#EXTM3U")) { throw new Error("it does not begin with #EXTM3U"); }
  const known = written.filter((line) => !line.startsWith("#") || line.startsWith("#EXT"));
  return known.map((line) => {
    if (!line.startsWith("#")) { return ["", line]; }
    const colon = line.indexOf(":");
    return colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1)];
  });
}

/** The variants of a multivariant playlist (4.3.4.2), from the lowest rate to the highest. */
export function variants(playlist, base) {
  const found = [];
  let stream = null;
  for (const [name, rest] of lines(playlist)) {
    if (name === "#EXT-X-STREAM-INF") { stream = attributes(rest); }
    if (name === "" && stream) {
      const rate_bps = Number(stream.get("AVERAGE-BANDWIDTH") ?? stream.get("BANDWIDTH"));
      found.push({ url: new URL(rest, base).href, rate_bps, codecs: stream.get("CODECS") });
      stream = null;
    }
  }
  return found.sort((one, other) => one.rate_bps - other.rate_bps);
}

/** "length@offset" (4.3.2.2) as the first and last byte; without an offset it follows `before`. */
function byteRange(written, before) {
  const [length, offset] = written.split("@").map(Number);
  const first = offset ?? (before ? before.last + 1 : 0);
  return { first, last: first + length - 1 };
}

/** The chunks of a media playlist, and what a decoder needs before the first of them. */
export function chunks(playlist, base) {
  const found = [];
  let initialization = null;
  let ended = false;
  let seconds = 0;
  let range = null;
  let before = null;
  for (const [name, rest] of lines(playlist)) {
    if (name === "#EXTINF") { seconds = parseFloat(rest); }
    if (name === "#EXT-X-BYTERANGE") { range = byteRange(rest, before); }
    if (name === "#EXT-X-ENDLIST") { ended = true; }
    if (name === "#EXT-X-KEY" && attributes(rest).get("METHOD") !== "NONE") {
      throw new Error("it is encrypted, which this page does not undo");
    }
    if (name === "#EXT-X-MAP") {
      const map = attributes(rest);
      const part = map.has("BYTERANGE") ? byteRange(map.get("BYTERANGE"), null) : null;
      initialization = { url: new URL(map.get("URI"), base).href, range: part };
    }
    if (name === "") {
      found.push({ url: new URL(rest, base).href, range, seconds, bytes: null });
      before = range;
      range = null;
    }
  }
  if (!ended) { throw new Error("it has no end (#EXT-X-ENDLIST): this page plays stored film"); }
  return { initialization, chunks: found };
}

async function quality(variant, index, signal) {
  try {
    if (!variant.codecs) { throw new Error("its variant names no CODECS"); }
    const media = chunks(await text(variant.url, signal), variant.url);
    const mime = `video/mp4; codecs="${variant.codecs}"`;
    return { name: `${index}`, rate_bps: variant.rate_bps, mime, ...media };
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error(`${path(variant.url)}: ${error.message}`);
  }
}

/** Puts the sizes of a generated film's JSON to its chunks. */
function addSizes(qualities, { segment_sizes_bits: sizes, bitrates_kbps: rates }) {
  qualities.forEach((quality, index) => {
    quality.rate_bps = rates[index] * 1000;
    quality.chunks.forEach((chunk, place) => { chunk.bytes = sizes[place][index] / 8; });
  });
}

/** Reads the film that the playlist names; `sizes` is the reference of its JSON, or "". */
export async function readFilm(playlist, sizes, signal) {
  const url = new URL(playlist, document.baseURI).href;
  const found = variants(await text(url, signal), url);
  if (found.length === 0) { throw new Error(`${path(url)}: it names no variants`); }
  const qualities = await Promise.all(found.map((variant, at) => quality(variant, at, signal)));
  const unlike = qualities.find((other) => other.chunks.length !== qualities[0].chunks.length);
  if (unlike) { throw new Error(`quality ${unlike.name} has another number of chunks`); }
  if (sizes !== "") {
    addSizes(qualities, JSON.parse(await text(new URL(sizes, document.baseURI).href, signal)));
  }
  return { qualities, exact: sizes !== "" };
}

/** How long a film plays, in seconds. */
export function length(film) {
  return film.qualities[0].chunks.reduce((sum, chunk) => sum + chunk.seconds, 0);
}
