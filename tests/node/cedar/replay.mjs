// Replays recorded policy decisions with Cedar's own WebAssembly build: node replay.mjs REQUESTS.jsonl
//
// REQUESTS.jsonl is what `countersign policy requests` prints. Every decision, every policy that determined it and, of a
// close, every condition of the gate must come out as recorded; what does not is named, and the exit code is 1.

import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import * as cedar from "@cedar-policy/cedar-wasm/nodejs";

const sets = new Map();
const counts = { requests: 0, allow: 0, deny: 0, conditions: 0, differ: 0, kinds: {} };

function prepare(line) {
  const answers = [cedar.preparsePolicySet(line.set, { staticPolicies: line.policies }), cedar.preparseSchema(line.set, line.schema)];
  const probes = new Map();
  for (const [name, probe] of Object.entries(line.closing)) {
    const id = `${line.set}/${name}`;
    answers.push(cedar.preparsePolicySet(id, { staticPolicies: { [name]: probe.policy } }));
    probes.set(name, { ...probe, id });
  }
  const failed = answers.find((answer) => answer.type !== "success");
  if (failed) throw new Error(`the set ${line.set.slice(0, 16)} is not accepted: ${JSON.stringify(failed.errors)}`);
  sets.set(line.set, probes);
}

function ask(line, set, schema) {
  const { principal, action, resource, context, entities } = line;
  const call = { principal, action, resource, context, entities, preparsedPolicySetId: set };
  if (schema) Object.assign(call, { preparsedSchemaName: schema, validateRequest: true });
  const answer = cedar.statefulIsAuthorized(call);
  if (answer.type !== "success") return { decision: "deny", reason: [], errors: answer.errors };
  return { decision: answer.response.decision, ...answer.response.diagnostics };
}

// A condition holds when its own policy allows (of a forbid: when it does not apply); what cannot be read is not evaluated.
function outcome(line, probe) {
  const said = ask(line, probe.id);
  if (said.errors.length === 0 && (said.decision === "allow") !== probe.forbids) return "held";
  const unknown = said.errors.length > 0 || probe.optional.some((fact) => !(fact in line.context));
  return unknown ? "unevaluated" : "failed";
}

function differences(line) {
  const found = [];
  const said = ask(line, line.policy, line.policy);
  const allowed = said.decision === "allow" && said.errors.length === 0 ? "allow" : "deny";
  if (allowed !== line.decision) found.push(`${line.decision} is recorded, Cedar says ${allowed}`);
  const reasons = [...said.reason].sort();
  if (JSON.stringify(reasons) !== JSON.stringify(line.reasons)) found.push(`determined by ${reasons.join(", ") || "none"}`);
  const probes = sets.get(line.policy);
  for (const [name, recorded] of Object.entries(line.conditions ?? {})) {
    if (!probes.has(name)) continue;
    counts.conditions += 1;
    const now = outcome(line, probes.get(name));
    if (now !== recorded) found.push(`condition ${name}: ${recorded} is recorded, Cedar says ${now}`);
  }
  return found;
}

for await (const text of createInterface({ input: createReadStream(process.argv[2]) })) {
  const line = JSON.parse(text);
  if ("set" in line) {
    prepare(line);
    continue;
  }
  counts.requests += 1;
  counts[line.decision] += 1;
  const kind = `${line.kind} ${line.action.id}`;
  counts.kinds[kind] = (counts.kinds[kind] ?? 0) + 1;
  const found = differences(line);
  counts.differ += found.length > 0;
  for (const what of found) console.error(`entry ${line.entry} (${line.action.id} ${line.subject}): ${what}`);
}
console.log(JSON.stringify({ cedar: cedar.getCedarSDKVersion(), ...counts }));
process.exitCode = counts.differ > 0 || counts.requests === 0 ? 1 : 0;
