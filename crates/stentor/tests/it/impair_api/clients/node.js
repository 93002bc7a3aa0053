// toxiproxy-node-client from npm, unmodified, against the API at the address it is given.
"use strict";

const assert = require("node:assert");
const net = require("node:net");
const { Toxiproxy } = require("toxiproxy-node-client");

const [host, upstream] = process.argv.slice(2);

const through = (listen, word = "hello") =>
  new Promise((resolve, reject) => {
    const [address, port] = listen.split(":");
    const socket = net.connect(Number(port), address, () => socket.write(word));
    let got = "";
    socket.on("data", (piece) => {
      got += piece;
      if (got.length >= word.length) socket.end();
    });
    socket.on("close", () => resolve(got));
    socket.on("error", reject);
  });

(async () => {
  const server = new Toxiproxy(`http://${host}`);
  assert.match(JSON.parse(await server.getVersion()).version, /^2\.12/);
  assert.deepStrictEqual(await server.getAll(), {});
  const web = { name: "web", listen: "localhost:0", upstream };
  const proxy = await server.createProxy(web);
  assert.strictEqual(await through(proxy.listen), "hello");
  await assert.rejects(server.createProxy(web), /409/);

  const cut = await proxy.addToxic({
    name: "cut", type: "limit_data", stream: "downstream", toxicity: 1, attributes: { bytes: 3 },
  });
  assert.strictEqual(await through(proxy.listen), "hel");
  const changed = await cut.update({ ...cut.toJson(), attributes: { bytes: 4 } });
  assert.deepStrictEqual(changed.attributes, { bytes: 4 });
  assert.strictEqual(await through(proxy.listen), "hell");
  assert.deepStrictEqual((await proxy.getToxic("cut")).toJson(), changed.toJson());
  await assert.rejects(proxy.addToxic({ name: "cut", type: "noop", attributes: {} }), /409/);
  await assert.rejects(proxy.addToxic({ type: "nonsense", attributes: {} }), /400/);
  await cut.remove();
  await assert.rejects(proxy.getToxic("cut"), /404/);
  assert.strictEqual(await through(proxy.listen), "hello");

  const slow = await proxy.addToxic({
    type: "latency", stream: "upstream", toxicity: 0.5, attributes: { latency: 2, jitter: 1 },
  });
  assert.strictEqual(slow.name, "latency_upstream");
  assert.strictEqual(slow.toxicity, 0.5);

  const off = await proxy.update({ ...proxy.toJson(), enabled: false });
  assert.strictEqual(off.enabled, false);
  await assert.rejects(through(proxy.listen));
  await server.reset();
  assert.strictEqual((await server.get("web")).enabled, true);
  await assert.rejects(proxy.getToxic("latency_upstream"), /404/);

  const made = await server.populate([{ ...web, name: "one" }, { ...web, name: "two" }]);
  assert.deepStrictEqual(Object.keys(made), ["one", "two"]);
  assert.strictEqual(Object.keys(await server.getAll()).length, 3);
  await proxy.remove();
  await assert.rejects(server.get("web"), /404/);
  console.log("all of it worked");
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
