// Check that entries stand in the log with npm's @sigstore/verify: its checkpoint and Merkle code.
//
//   node check_proof.cjs VKEY PROOF ENTRY [PROOF ENTRY...]
//
// VKEY is the line in log.vkey; PROOF and ENTRY come from `countersign proof`. Run it where `npm install @sigstore/verify`
// was run. What that package knows as a log of Sigstore (Rekor) is made here from our key: its id is the key's own
// (C2SP signed-note), its address the log's name.
"use strict";
const { createHash, createPublicKey } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { verifyTLogInclusion } = createRequire(`${process.cwd()}/`)("@sigstore/verify/dist/tlog");

function authority(vkey) {
  const [, name, id, encoded] = vkey.trim().match(/^([^+]+)\+([^+]+)\+(.+)$/);
  const key = Buffer.from(encoded, "base64");
  const logID = createHash("sha256").update(`${name}\n`).update(key).digest();
  if (key[0] !== 1 || logID.subarray(0, 4).toString("hex") !== id) throw new Error("verifier key is damaged");
  const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key.subarray(1)]); // RFC 8410
  const valid = { start: new Date(0), end: new Date(8.64e15) };
  return { name, logID, baseURL: name, publicKey: createPublicKey({ key: der, format: "der", type: "spki" }), validFor: valid };
}

function check(log, proof, entry) {
  const head = proof.slice(0, proof.indexOf("\n\n"));
  const envelope = proof.slice(head.length + 2);
  const [form, ...lines] = head.split("\n").filter((line) => !line.startsWith("extra "));
  if (form !== "c2sp.org/tlog-proof@v1" || !lines[0]?.startsWith("index ")) throw new Error("not a proof");
  const logIndex = lines.shift().slice("index ".length);
  const hashes = lines.map((line) => Buffer.from(line, "base64"));
  const inclusionProof = { logIndex, hashes, checkpoint: { envelope } };
  verifyTLogInclusion({ logId: { keyId: log.logID }, inclusionProof, canonicalizedBody: entry }, [log]);
  if (!envelope.startsWith(`${log.name}\n`)) throw new Error("checkpoint of another log");
  return logIndex;
}

const [vkey, ...files] = process.argv.slice(2);
try {
  const log = authority(vkey);
  for (let i = 0; i + 1 < files.length; i += 2) {
    console.log(`verified: entry ${check(log, readFileSync(files[i], "utf8"), readFileSync(files[i + 1]))} of ${log.name}`);
  }
} catch (error) {
  console.error(`NOT VERIFIED: ${error.message}`);
  process.exit(1);
}
