/**
 * Where requests with a shared prefix land, in simulated time: round robin, least outstanding requests, session
 * stickiness, the gateway's own affinity (the module that runs in the function), and an oracle that knows every task's
 * cache. Always the same for the same seed. Method: docs/prefixes.md.
 *
 *   node bench/prefix.ts [--seed 1 --seconds 1200 --tasks 2,4,8,16,32,64 --trace mooncake.jsonl --write --check]
 *
 * `--write` puts table and plot into docs/; `--check` fails when the affinity misses its aims.
 */
import { parseArgs } from 'node:util';
import { DEFAULT_PACE } from '../local/engine/situation.ts';
import { svgChart } from './simulation/chart.ts';
import { type PolicyName, type PrefixResult, simulatePrefixes } from './simulation/prefix.ts';
import { markdownTable, writeChart, writeResult } from './simulation/publish.ts';
import { makeTrace, readTrace, type TracedRequest } from './simulation/trace.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '1200' },
    tasks: { type: 'string', default: '2,4,8,16,32,64' },
    trace: { type: 'string' },
    write: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
});

const POLICIES: readonly PolicyName[] = [
  'round robin',
  'least outstanding',
  'session stickiness',
  'affinity',
  'oracle',
];
/** An 8B model on an L40S: 195,000 tokens of KV cache (docs/fleets.md), a prompt computed twice as fast as on an L4. */
const CACHE_TOKENS = 195_000;
const ENGINE = {
  pace: { ...DEFAULT_PACE, prefillTokensPerSecond: DEFAULT_PACE.prefillTokensPerSecond * 2 },
  maxNumSeqs: 256,
  maxNumBatchedTokens: 2048,
  maxInFlight: 128,
  kvTokens: CACHE_TOKENS,
};
/** What a task takes without getting slow. */
const SESSIONS_PER_TASK_SECOND = 0.3;
const APPLICATIONS_PER_TASK = 4;
/** Of 1.25, 1.5, 2 and none the one with which it finds most. */
const ORACLE_FACTOR = 2;
const AIMS = { hitRate: 0.9, loadRatio: 1.5 };

const counts = values.tasks.split(',').map(Number);

/** A recorded trace has one rate: it is played the faster, the more tasks there are. */
function traceFor(tasks: number): TracedRequest[] {
  if (values.trace === undefined) {
    return makeTrace({
      seed: Number(values.seed),
      seconds: Number(values.seconds),
      sessionsPerSecond: SESSIONS_PER_TASK_SECOND * tasks,
      applications: APPLICATIONS_PER_TASK * tasks,
    });
  }
  const recorded = readTrace(values.trace);
  const tokens = recorded.reduce((sum, { inputTokens }) => sum + inputTokens, 0);
  const seconds = (recorded.at(-1)?.arrival ?? 0) - (recorded[0]?.arrival ?? 0);
  // Half of what the tasks could compute if nothing were cached.
  const factor = (tasks * ENGINE.pace.prefillTokensPerSecond * 0.5) / (tokens / seconds);
  return recorded.map((request) => ({ ...request, arrival: request.arrival / factor }));
}

const results = counts.map((tasks) => {
  const requests = traceFor(tasks);
  const all = POLICIES.map((policy): readonly [PolicyName, PrefixResult] => [
    policy,
    simulatePrefixes({
      requests,
      tasks,
      engine: ENGINE,
      cacheTokens: CACHE_TOKENS,
      policy,
      oracleFactor: ORACLE_FACTOR,
    }),
  ]);
  return { tasks, requests: requests.length, of: new Map(all) };
});

type Row = (typeof results)[number];
const result = ({ of }: Row, policy: PolicyName): PrefixResult => of.get(policy) as PrefixResult;
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const ofOracle = (row: Row): number => result(row, 'affinity').hitRate / result(row, 'oracle').hitRate;

const hitRates = markdownTable(
  ['prefix hits at … tasks', ...counts.map(String)],
  [
    ...POLICIES.map((policy) => [policy, ...results.map((row) => percent(result(row, policy).hitRate))]),
    ["affinity, of the oracle's", ...results.map((row) => percent(ofOracle(row)))],
  ],
);
const ms = (seconds: number): string => `${Math.round(seconds * 1000)}`;
const firstTokens = markdownTable(
  ['ms to the first token, p50 / p99', ...counts.map(String)],
  POLICIES.map((policy) => [
    policy,
    ...results.map((row) => `${ms(result(row, policy).firstTokenP50)} / ${ms(result(row, policy).firstTokenP99)}`),
  ]),
);
const loads = markdownTable(
  ["the busiest task's load, of the mean", ...counts.map(String)],
  POLICIES.map((policy) => [policy, ...results.map((row) => `${result(row, policy).loadRatio.toFixed(2)}×`)]),
);
const text = [hitRates, firstTokens, loads].join('\n\n');
console.log(`${results.map(({ requests }) => requests).join(', ')} requests\n\n${text}`);

if (values.write) {
  writeResult('prefixes.md', 'prefix simulation', text);
  const ticks = counts.map((tasks) => [tasks, String(tasks)] as const);
  const lines = (value: (result: PrefixResult) => number) =>
    POLICIES.map((policy) => ({
      name: policy,
      points: results.map((row) => [row.tasks, value(result(row, policy))] as const),
    }));
  writeChart(
    'prefix-affinity.svg',
    svgChart('Prefix hits, and time to the first token, by the number of tasks', [
      {
        ...{ title: 'Prompt tokens found in the cache', x: 'tasks', y: '%', ticks, log2: true, yMax: 100 },
        lines: lines(({ hitRate }) => hitRate * 100),
      },
      {
        ...{ title: 'Time to the first token, p50', x: 'tasks', y: 'ms', ticks, log2: true },
        lines: lines(({ firstTokenP50 }) => firstTokenP50 * 1000),
      },
    ]),
  );
}

if (values.check) {
  const misses = results.filter(
    (row) => ofOracle(row) < AIMS.hitRate || result(row, 'affinity').loadRatio > AIMS.loadRatio,
  );
  for (const { tasks } of misses) console.error(`missed an aim with ${tasks} tasks`);
  if (misses.length > 0) process.exitCode = 1;
}
