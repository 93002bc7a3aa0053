// One request, every read timed.
//
// fetch() hands over the body as the browser reads it from the network, so that a chunk's first byte,
// its longest silence and its last byte are known, and not only how long all of it took.

import { path } from "./film.js";
import { bytes as inBytes } from "./words.js";

/** Why a request brought no chunk; `status` is the answer's, or 0 without an answer. */
export class DownloadError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** A signal that aborts when nothing has come for so long; `heard` starts the wait anew. */
function impatience(seconds) {
  const control = new AbortController();
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => control.abort(), seconds * 1000);
  };
  heard();
  return { signal: control.signal, heard, end: () => clearTimeout(timer) };
}

async function ask(resource, signal) {
  const { url, range } = resource;
  const headers = range ? { Range: `bytes=${range.first}-${range.last}` } : {};
  // From the origin each time: a browser's cache would be a network of its own.
  const answer = await fetch(url, { headers, signal, cache: "no-store" });
  if (range && answer.status === 200) {
    throw new DownloadError("200: the origin sends the whole file, not the range", 200);
  }
  if (!answer.ok) {
    throw new DownloadError(`${answer.status} ${answer.statusText}`.trim(), answer.status);
  }
  return answer;
}

/** All reads of a body, put together. */
function joined(parts, length) {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Fetches a resource. `onRead(bytes)` hears how much has come so far. Times are in milliseconds of
 * performance.now(): begin_ms the request, first_ms the first byte, end_ms the last.
 */
export async function download(resource, { patience_s, signal, onRead = () => {} }) {
  const patience = impatience(patience_s);
  const report = { status: 0, reads: 0, received: 0, longest_ms: 0, begin_ms: performance.now() };
  let last_ms = report.begin_ms;
  const parts = [];
  try {
    const answer = await ask(resource, AbortSignal.any([signal, patience.signal]));
    report.status = answer.status;
    for await (const part of reads(answer.body)) {
      const now = performance.now();
      report.first_ms ??= now;
      report.longest_ms = Math.max(report.longest_ms, now - last_ms);
      last_ms = now;
      report.reads += 1;
      report.received += part.length;
      parts.push(part);
      patience.heard();
      onRead(report.received);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw explained(error, { resource, report, patience, patience_s });
  } finally {
    patience.end();
  }
  report.end_ms = last_ms;
  return { ...report, body: joined(parts, report.received) };
}

/** The reads of a body. Its own iterator is missing in some browsers. */
async function* reads(body) {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) { return; }
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

/** What went wrong, in words: browsers say no more than "network error" of most. */
function explained(error, { resource, report, patience, patience_s }) {
  const asked = `GET ${path(resource.url)}`;
  const after = report.received > 0 ? `after ${inBytes(report.received)}` : "after the request";
  if (error instanceof DownloadError) {
    return new DownloadError(`${asked}: ${error.message}`, error.status);
  }
  if (patience.signal.aborted) {
    return new DownloadError(`${asked}: nothing came for ${patience_s} s ${after}`, report.status);
  }
  if (report.status === 0) {
    const why = `${asked}: no answer (${error.message}); is the origin still running?`;
    return new DownloadError(why, 0);
  }
  return new DownloadError(`${asked}: the connection broke ${after} (${error.message})`, report.status);
}
