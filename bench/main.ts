/**
 * Our handler against a bare pass-through handler in the same runtime, in the same run, taking turns. Absolute times
 * say more of the machine than of the code: the ratios are what counts. Method: docs/performance.md.
 *
 *   npm run bench [-- --rounds 12 --requests 100 --check]
 *
 * `--check` fails when a ratio misses its aim by more than the noise seen.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { LocalFunction } from '../local/lambda/local-function.ts';
import { bare, bundleBytes, type Contender, ours, start } from './contenders.ts';
import { streamOnce } from './drive.ts';
import { cpuMs, median, quantile, residentMiB } from './process-stats.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '12' },
    requests: { type: 'string', default: '100' },
    starts: { type: 'string', default: '15' },
    check: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const requests = Number(values.requests);
const starts = Number(values.starts);
const CHUNKS = 64;

const upstream = fork(fileURLToPath(new URL('./upstream.ts', import.meta.url)), {
  env: { ...process.env, CHUNKS: String(CHUNKS), PACE_MS: '1' },
});
try {
  const [{ url }] = (await once(upstream, 'message')) as [{ url: string }];
  await measure(url);
} finally {
  upstream.disconnect();
}

async function measure(url: string): Promise<void> {
  const limit = bare(url);
  const handler = ours(url);

  const init = await inTurns(starts, { bare: () => initMs(limit), ours: () => initMs(handler) });

  const functions = { bare: start(limit), ours: start(handler) };
  try {
    await block(functions.bare, 1);
    await block(functions.ours, 1);
    const atFirst = { bare: rss(functions.bare), ours: rss(functions.ours) };
    await block(functions.bare, requests);
    await block(functions.ours, requests);
    const blocks = await inTurns(rounds, {
      bare: () => block(functions.bare, requests),
      ours: () => block(functions.ours, requests),
    });
    const memory = { bare: rss(functions.bare), ours: rss(functions.ours) };

    const cpu = (name: 'bare' | 'ours'): number[] => blocks[name].map((b) => b.cpuMs / requests);
    const cpuRatios = cpu('ours').map((value, i) => value / (cpu('bare')[i] ?? Number.NaN));
    const initRatios = init.ours.map((value, i) => value / (init.bare[i] ?? Number.NaN));
    const firstToken = (name: 'bare' | 'ours', q: number): number =>
      quantile(
        blocks[name].flatMap((b) => b.firstTokenMs),
        q,
      );

    const rows: Row[] = [
      row('CPU a streamed request of 64 chunks (ms)', median(cpu('bare')), median(cpu('ours')), cpuRatios, '<= 1.5'),
      row('first token p50 (ms)', firstToken('bare', 0.5), firstToken('ours', 0.5)),
      row('first token p99 (ms)', firstToken('bare', 0.99), firstToken('ours', 0.99)),
      row('init: process start to first poll (ms)', median(init.bare), median(init.ours), initRatios, '<= 1.3'),
      row('resident memory after 1 request (MiB)', atFirst.bare.all, atFirst.ours.all, [], '60 MiB'),
      row('- without the pages of the Node binary', atFirst.bare.own, atFirst.ours.own),
      row(`resident memory after ${requests * (rounds + 1) + 1} requests (MiB)`, memory.bare.all, memory.ours.all),
      row('- without the pages of the Node binary', memory.bare.own, memory.ours.own),
      row('bundle loaded at start (KiB)', bundleBytes(limit).entry / 1024, bundleBytes(handler).entry / 1024),
      row('bundle in all (KiB)', bundleBytes(limit).total / 1024, bundleBytes(handler).total / 1024),
    ];
    report(rows);
    if (values.check) check(cpuRatios, initRatios, memory.ours.all / memory.bare.all);
  } finally {
    await Promise.all([functions.bare.close(), functions.ours.close()]);
  }
}

interface Row {
  readonly what: string;
  readonly bare: number;
  readonly ours: number;
  readonly ratio: { min: number; median: number; max: number };
  readonly aim: string;
}

function row(what: string, bareValue: number, oursValue: number, ratios: readonly number[] = [], aim = ''): Row {
  const pairs = ratios.length > 0 ? ratios : [oursValue / bareValue];
  return {
    what,
    bare: bareValue,
    ours: oursValue,
    ratio: { min: Math.min(...pairs), median: median(pairs), max: Math.max(...pairs) },
    aim,
  };
}

function report(rows: readonly Row[]): void {
  const n = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(2));
  const machine = `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}`;
  const lines = [
    `${rounds} rounds of ${requests} requests each, ${starts} starts; ${machine}`,
    '',
    '| | bare | ours | ratio: median (min-max) | aim |',
    '| --- | ---: | ---: | ---: | --- |',
    ...rows.map(
      (r) =>
        `| ${r.what} | ${n(r.bare)} | ${n(r.ours)} | ${n(r.ratio.median)} (${n(r.ratio.min)}-${n(r.ratio.max)}) | ${r.aim} |`,
    ),
  ];
  console.log(lines.join('\n'));
  mkdirSync(new URL('./results/', import.meta.url), { recursive: true });
  writeFileSync(new URL('./results/latest.json', import.meta.url), `${JSON.stringify({ machine, rows }, null, 2)}\n`);
}

/**
 * The lower quartile of the rounds: other work on the machine makes a round worse, never better. Memory is held to the
 * bare handler's: both grow as far as V8 lets garbage lie.
 */
function check(cpuRatios: readonly number[], initRatios: readonly number[], memoryRatio: number): void {
  const misses = [
    quantile(cpuRatios, 0.25) > 1.5 && 'CPU',
    quantile(initRatios, 0.25) > 1.3 && 'init',
    memoryRatio > 1.1 && 'resident memory',
  ].filter((name) => name !== false);
  if (misses.length > 0) {
    console.error(`missed the aim: ${misses.join(', ')}`);
    process.exitCode = 1;
  }
}

/** A, B, B, A, A, B …: drift of the machine meets both alike. */
async function inTurns<T>(
  count: number,
  what: { bare: () => Promise<T>; ours: () => Promise<T> },
): Promise<{ bare: T[]; ours: T[] }> {
  const results: { bare: T[]; ours: T[] } = { bare: [], ours: [] };
  for (let i = 0; i < count; i++) {
    for (const name of i % 2 === 0 ? (['bare', 'ours'] as const) : (['ours', 'bare'] as const)) {
      results[name].push(await what[name]());
    }
  }
  return results;
}

/** A cold start as a caller sees it ends with the first answer; what is ours of it is the time to the first poll. */
async function initMs(contender: Contender): Promise<number> {
  const target = start(contender);
  try {
    await streamOnce(target);
    const [duration] = target.initDurations;
    if (duration === undefined) throw new Error(`${contender.name} was never ready`);
    return duration;
  } finally {
    await target.close();
  }
}

interface Block {
  readonly cpuMs: number;
  readonly firstTokenMs: readonly number[];
}

async function block(target: LocalFunction, count: number): Promise<Block> {
  const [pid] = target.pids;
  const before = pid === undefined ? 0 : cpuMs(pid);
  const firstTokenMs: number[] = [];
  for (let i = 0; i < count; i++) firstTokenMs.push((await streamOnce(target)).firstTokenMs);
  const [after] = target.pids;
  if (after === undefined || (pid !== undefined && after !== pid)) throw new Error('the process was replaced');
  return { cpuMs: cpuMs(after) - before, firstTokenMs };
}

function rss(target: LocalFunction): ReturnType<typeof residentMiB> {
  const [pid] = target.pids;
  if (pid === undefined) throw new Error('no process');
  return residentMiB(pid);
}
