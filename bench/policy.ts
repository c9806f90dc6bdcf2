/**
 * What the fallback policy costs when nothing fails: the handler with the standard one against the handler with all of
 * it switched off, in turns.
 *
 *   node bench/policy.ts [--rounds 8 --requests 50 --check]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { STANDARD_POLICY } from '../lambda/failover/policy.ts';
import type { FallbackConfig } from '../lib/private/serving-config.ts';
import type { LocalFunction } from '../local/lambda/local-function.ts';
import { ours, start } from './contenders.ts';
import { streamOnce } from './drive.ts';
import { cpuMs, median } from './process-stats.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '8' },
    requests: { type: 'string', default: '50' },
    check: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const requests = Number(values.requests);
/** More than this, beyond the noise of the same run, and the policy costs too much. */
const AIM = 1.05;

const { breaker: _, quality, ...standard } = STANDARD_POLICY;
const OFF: FallbackConfig = {
  ...standard,
  failOverOn: [],
  retryOn: [],
  retries: 0,
  retryBudget: 0,
  quality: Object.assign({}, quality, Object.fromEntries(Object.keys(quality).map((check) => [check, false])), {
    patterns: [],
    holdBackCharacters: 0,
  }),
  resume: false,
};

const upstream = fork(fileURLToPath(new URL('./upstream.ts', import.meta.url)), {
  env: { ...process.env, CHUNKS: '64', PACE_MS: '1' },
});
const [{ url }] = (await once(upstream, 'message')) as [{ url: string }];
// The same one twice: what differs between those is noise.
const targets = { off: start(ours(url, OFF)), again: start(ours(url, OFF)), on: start(ours(url)) };
const names = Object.keys(targets) as Array<keyof typeof targets>;
const results: Record<keyof typeof targets, Block[]> = { off: [], again: [], on: [] };

interface Block {
  readonly cpuMs: number;
  readonly firstTokenMs: number;
}

try {
  for (const name of names) await block(targets[name]);
  for (let round = 0; round < rounds; round += 1) {
    const turn = round % names.length;
    for (const name of [...names.slice(turn), ...names.slice(0, turn)]) results[name].push(await block(targets[name]));
  }
} finally {
  await Promise.all(names.map((name) => targets[name].close()));
  upstream.disconnect();
}

console.log(`${rounds} rounds of ${requests} requests each, against the policy switched off\n`);
console.log('| | ratio: median (min-max) | noise: the same twice |');
console.log('| --- | ---: | ---: |');
let misses = 0;
for (const [what, field] of [
  ['CPU a request', 'cpuMs'],
  ['first token p50', 'firstTokenMs'],
] as const) {
  const on = ratios('on', field);
  const noise = ratios('again', field);
  console.log(`| ${what} | ${show(on)} | ${show(noise)} |`);
  const allowed = AIM * Math.max(1, median(noise)) + Math.max(...noise) - median(noise);
  if (median(on) > allowed) misses += 1;
}
if (values.check && misses > 0) {
  console.error('missed the aim: the policy costs more than 5 % beyond noise');
  process.exitCode = 1;
}

async function block(target: LocalFunction): Promise<Block> {
  // The process starts with the first request.
  if (target.pids.length === 0) await streamOnce(target);
  const [pid] = target.pids;
  if (pid === undefined) throw new Error('no process');
  const before = cpuMs(pid);
  const times: number[] = [];
  for (let index = 0; index < requests; index += 1) times.push((await streamOnce(target)).firstTokenMs);
  return { cpuMs: (cpuMs(pid) - before) / requests, firstTokenMs: median(times) };
}

function ratios(name: 'on' | 'again', field: keyof Block): number[] {
  return results[name].map((each, round) => each[field] / (results.off[round]?.[field] ?? Number.NaN));
}

function show(values: readonly number[]): string {
  const n = (value: number): string => value.toFixed(2);
  return `${n(median(values))} (${n(Math.min(...values))}-${n(Math.max(...values))})`;
}
