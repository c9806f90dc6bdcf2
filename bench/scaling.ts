/**
 * The scaling policies of a fleet's template against fixed fleets and an oracle, on a day's load in simulated time: the
 * policies act by what local/autoscaling and local/cloudwatch make of them, in a few seconds and always the same.
 * Method: docs/fleets.md.
 *
 *   node bench/scaling.ts [--seed 1 --hours 24 --peak 8 --trace azure.csv --write]
 *
 * `--write` puts table and plot into docs/.
 */
import { parseArgs } from 'node:util';
import { Duration } from 'aws-cdk-lib';
import type { FleetScaling } from '../lib/index.js';
import { svgChart } from './simulation/chart.ts';
import { synthesizeFleet } from './simulation/fleet-under-test.ts';
import { diurnalLoad, perMinute, readAzureTrace } from './simulation/load.ts';
import { planFor } from './simulation/oracle.ts';
import { markdownTable, writeChart, writeResult } from './simulation/publish.ts';
import { type Control, type ScalingResult, simulateScaling } from './simulation/scaling.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    hours: { type: 'string', default: '24' },
    peak: { type: 'string', default: '8' },
    trace: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

/** Interactive use: the first token within two seconds, then at least ten a second. */
const OBJECTIVE = { firstToken: 2, betweenTokens: 0.1 };
const ENOUGH = 0.99;
const MAX_TASKS = 16;
/** Instance, image and weights. */
const START_MINUTES = 6;

const fleet = synthesizeFleet({ minTasks: 1, maxTasks: MAX_TASKS });
const requests =
  values.trace === undefined
    ? diurnalLoad({ seed: Number(values.seed), hours: Number(values.hours), peakPerSecond: Number(values.peak) })
    : readAzureTrace(values.trace);
const minutes = perMinute(requests);

function simulate(control: Control, startMinutes = START_MINUTES): ScalingResult {
  const { engine } = fleet;
  return simulateScaling({
    ...{ requests, engine, objective: OBJECTIVE, control, minTasks: 1 },
    startSeconds: startMinutes * 60,
  });
}

const fixed = (tasks: number): ScalingResult => simulate({ type: 'plan', tasks: [tasks] });

function smallestFixed(): { tasks: number; result: ScalingResult } {
  for (let tasks = 1; tasks < 64; tasks += 1) {
    const result = fixed(tasks);
    if (result.attainment >= ENOUGH) return { tasks, result };
  }
  throw new Error('64 tasks are not enough for this load');
}

/** The cheapest plan in proportion to each minute's requests with which enough of them meet the objective. */
function oracle(): ScalingResult {
  let best: ScalingResult | undefined;
  for (let perTask = 4; perTask > 0.5; perTask -= 0.1) {
    const tasks = planFor(minutes, perTask, START_MINUTES);
    const result = simulate({ type: 'plan', tasks });
    if (result.attainment < ENOUGH) continue;
    if (best === undefined || result.taskHours < best.taskHours) best = result;
    else break;
  }
  if (best === undefined) throw new Error('no plan is enough for this load');
  return best;
}

/** Each with a template of its own. */
function policies(scaling: FleetScaling, startMinutes = START_MINUTES): ScalingResult {
  const own = synthesizeFleet({
    ...{ minTasks: 1, maxTasks: MAX_TASKS, taskStartTime: Duration.minutes(startMinutes) },
    ...scaling,
  });
  return simulate({ type: 'policy', scaling: own.scaling, agent: own.agent }, startMinutes);
}

const ours = policies({});
const lower = policies({ targetRequestsPerTask: 6 });
const slow = policies({}, 12);
const peak = smallestFixed();
const hours = minutes.length / 60;
const sameCost = Math.max(1, Math.round(ours.taskHours / hours));
const best = oracle();

const rows: ReadonlyArray<readonly [string, ScalingResult]> = [
  [`${peak.tasks} tasks, the fewest for 99 %`, peak.result],
  [`${sameCost} tasks, for what the policies cost`, fixed(sameCost)],
  ['policies', ours],
  ['policies, `targetRequestsPerTask: 6`', lower],
  ['policies, a start takes 12 minutes', slow],
  ['oracle', best],
];
const table = markdownTable(
  ['', 'within the SLO', 'refused', 'p99 to the first token', 'GPU-hours', 'against the oracle'],
  rows.map(([name, result]) => [
    name,
    `${(result.attainment * 100).toFixed(1)} %`,
    `${((result.refused / requests.length) * 100).toFixed(1)} %`,
    `${result.firstTokenP99.toFixed(1)} s`,
    result.taskHours.toFixed(0),
    `${(result.taskHours / best.taskHours).toFixed(2)}×`,
  ]),
);
console.log(`${requests.length} requests in ${hours.toFixed(0)} hours\n\n${table}`);

if (values.write) {
  writeResult('fleets.md', 'scaling simulation', table);
  const ofDay = (counts: readonly number[]): Array<readonly [number, number]> =>
    counts.map((count, minute) => [minute / 60, count]);
  const ticks = Array.from({ length: 9 }, (_, i) => [(i * hours) / 8, String(Math.round((i * hours) / 8))] as const);
  writeChart(
    'fleet-scaling.svg',
    svgChart('Load of a day, and tasks by it', [
      {
        ...{ title: 'Load', x: 'hour', y: 'requests a second', ticks },
        lines: [{ name: 'requests', points: ofDay(minutes.map((count) => count / 60)) }],
      },
      {
        ...{ title: 'Tasks', x: 'hour', y: 'tasks', ticks },
        lines: [
          { name: 'policies', points: ofDay(ours.tasksByMinute), stepped: true },
          { name: 'oracle', points: ofDay(best.tasksByMinute), stepped: true },
          { name: 'fixed', points: ofDay(peak.result.tasksByMinute), stepped: true },
        ],
      },
    ]),
  );
}
