import { describe, expect, test } from 'vitest';
import { type Outcome, SimulatedEngine } from '../../bench/simulation/engine.ts';
import { synthesizeFleet } from '../../bench/simulation/fleet-under-test.ts';
import { diurnalLoad } from '../../bench/simulation/load.ts';
import { planFor } from '../../bench/simulation/oracle.ts';
import { simulateScaling } from '../../bench/simulation/scaling.ts';
import { DEFAULT_PACE } from '../../local/engine/situation.ts';

const LIMITS = { pace: DEFAULT_PACE, maxNumSeqs: 4, maxNumBatchedTokens: 2048, maxInFlight: 6, kvTokens: 10_000 };

describe('the simulated engine', () => {
  const outcomes: Outcome[] = [];
  const engine = () => new SimulatedEngine(LIMITS, 0, (outcome) => outcomes.push(outcome));

  test('takes a step for each token, and longer for a prompt', () => {
    const one = engine();
    one.add({ arrival: 3, inputTokens: 800, outputTokens: 11 });
    one.advance(10);
    expect(outcomes.at(-1)?.firstToken).toBeCloseTo(3 + 0.016 + 0.1);
    expect(outcomes.at(-1)?.end).toBeCloseTo(3 + 0.016 + 0.1 + 10 * 0.016);
  });

  test('lets those wait that do not fit, and refuses those beyond its bound', () => {
    const full = engine();
    const taken = Array.from({ length: 8 }, () => full.add({ arrival: 0, inputTokens: 10, outputTokens: 10 }));
    expect(taken.filter(Boolean)).toHaveLength(6);
    full.advance(0.02);
    expect([full.running, full.waiting]).toEqual([4, 2]);
    full.advance(5);
    expect(full.inFlight).toBe(0);
  });
});

test('a load is the same for the same seed, and another one for another', () => {
  const options = { seed: 3, hours: 1, peakPerSecond: 2 };
  expect(diurnalLoad(options)).toEqual(diurnalLoad(options));
  expect(diurnalLoad(options)).not.toEqual(diurnalLoad({ ...options, seed: 4 }));
});

test('the oracle has as many tasks as each minute needs, and keeps one that comes back before it could start', () => {
  expect(planFor([60, 240, 60, 240, 60, 60, 60], 1, 2)).toEqual([1, 4, 4, 4, 1, 1, 1]);
});

describe('the policies of a template', () => {
  const fleet = synthesizeFleet({ minTasks: 1, maxTasks: 16 });
  const at = (perSecond: number, from: number, seconds: number) =>
    Array.from({ length: perSecond * seconds }, (_, i) => ({
      arrival: from + i / perSecond,
      inputTokens: 1000,
      outputTokens: 200,
    }));
  const run = (requests: ReturnType<typeof at>) =>
    simulateScaling({
      ...{ requests, engine: fleet.engine, objective: { firstToken: 2, betweenTokens: 0.1 } },
      ...{ startSeconds: 360, minTasks: 1 },
      control: { type: 'policy', scaling: fleet.scaling, agent: fleet.agent },
    });

  test('leave a load alone that one task can take', () => {
    const { tasksByMinute, attainment } = run(at(1, 0, 1200));
    expect(new Set(tasksByMinute)).toEqual(new Set([1]));
    expect(attainment).toBe(1);
  });

  test('answer a lasting load once, not again while its tasks start, and give them back afterwards', () => {
    const { tasksByMinute, refused } = run([...at(1, 0, 600), ...at(4, 600, 1800), ...at(1, 2400, 3600)]);
    expect(Math.max(...tasksByMinute)).toBeGreaterThan(2);
    // Three would do. Without the wait for those that start there would soon be all sixteen.
    expect(Math.max(...tasksByMinute)).toBeLessThanOrEqual(6);
    expect(tasksByMinute.at(-1)).toBe(1);
    expect(refused).toBeGreaterThan(0);
    expect(run(at(1, 0, 600))).toEqual(run(at(1, 0, 600)));
  });
});
