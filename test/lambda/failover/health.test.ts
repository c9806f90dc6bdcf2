import { describe, expect, test } from 'vitest';
import { BackendError } from '../../../lambda/backends/backend.ts';
import { backoffMs } from '../../../lambda/failover/backoff.ts';
import { Breaker } from '../../../lambda/failover/breaker.ts';
import { Health, type SharedBreakers } from '../../../lambda/failover/health.ts';
import { RecentLatency } from '../../../lambda/failover/latency.ts';
import { STANDARD_POLICY } from '../../../lambda/failover/policy.ts';
import { RetryBudget } from '../../../lambda/failover/retry-budget.ts';

const CONFIG = {
  windowMs: 10_000,
  minimumCalls: 10,
  failureRate: 0.5,
  consecutiveFailures: 100,
  openMs: 1000,
  maxOpenMs: 3000,
  skipMs: 0,
};
const DOWN = new BackendError('b', 'server', 'x');

describe('a breaker', () => {
  test('opens at a share of failures in its window', () => {
    const breaker = new Breaker();
    for (let call = 0; call < 9; call += 1) {
      if (call % 2 === 0) breaker.failed({}, 1000, CONFIG);
      else breaker.succeeded({}, 1000, CONFIG);
    }
    expect(breaker.admits(1000)).toBe(true);
    expect(breaker.failed({}, 1000, CONFIG)).toBe(true);
    expect(breaker.admits(1000)).toBe(false);
    expect(breaker.admits(2000)).toBe(true);
  });

  test('forgets what left the window', () => {
    const breaker = new Breaker();
    for (let call = 0; call < 9; call += 1) breaker.failed({}, 1000, CONFIG);
    expect(breaker.failed({}, 1000 + 2 * CONFIG.windowMs, CONFIG)).toBe(false);
  });

  test('admits one probe at a time, and opens for twice as long up to the longest', () => {
    const breaker = new Breaker();
    const config = { ...CONFIG, consecutiveFailures: 1 };
    let now = 0;
    for (const openMs of [1000, 2000, 3000, 3000]) {
      breaker.failed(breaker.begin(now), now, config);
      expect(breaker.opensAgainAt - now).toBe(openMs);
      now = breaker.opensAgainAt;
      expect(breaker.admits(now)).toBe(true);
    }
    const probe = breaker.begin(now);
    expect(breaker.admits(now)).toBe(false);
    breaker.abandoned(probe);
    expect(breaker.admits(now)).toBe(true);
    expect(breaker.succeeded(breaker.begin(now), now, config)).toBe(true);
    breaker.begin(now);
    expect(breaker.admits(now)).toBe(true);
  });
});

describe('a breaker is not confused', () => {
  const config = { ...CONFIG, consecutiveFailures: 1 };

  test("by another process's news while its own request tries: it admits one again when that time is over", () => {
    const breaker = new Breaker();
    breaker.failed({}, 0, config);
    const probe = breaker.begin(1000);
    breaker.openUntil(3000, 1500);
    breaker.failed(probe, 2000, config);
    expect(breaker.admits(2999)).toBe(false);
    expect(breaker.admits(3000)).toBe(true);
  });

  test('by an end that is not the one of the request that tries', () => {
    const breaker = new Breaker();
    const before = breaker.begin(0);
    breaker.failed({}, 0, config);
    breaker.begin(1000);
    breaker.abandoned(before);
    expect(breaker.admits(1000)).toBe(false);
  });

  test('by a clock that is set back an hour', () => {
    const breaker = new Breaker();
    const hour = 3_600_000;
    breaker.skipUntil(hour + 1000, hour);
    expect([breaker.admits(hour), breaker.admits(0)]).toEqual([false, true]);
    breaker.failed({}, hour, config);
    expect([breaker.admits(hour), breaker.admits(0)]).toEqual([false, true]);
    // Nor by what it had counted by then.
    const counting = new Breaker();
    for (let call = 0; call < 9; call += 1) counting.failed({}, hour, CONFIG);
    expect(counting.failed({}, 0, CONFIG)).toBe(false);
  });

  test('by streams that begin and break off: such a call is one, and it failed', () => {
    const breaker = new Breaker();
    for (let call = 0; call < 3; call += 1) {
      const begun = breaker.begin(call);
      breaker.succeeded(begun, call, { ...CONFIG, consecutiveFailures: 3 });
      const opened = breaker.failed(begun, call, { ...CONFIG, consecutiveFailures: 3 });
      expect(opened).toBe(call === 2);
    }
    const counting = new Breaker();
    const strict = { ...CONFIG, failureRate: 0.9 };
    const opened = Array.from({ length: 10 }, () => {
      const begun = counting.begin(0);
      counting.succeeded(begun, 0, strict);
      return counting.failed(begun, 0, strict);
    });
    expect(opened.indexOf(true)).toBe(9);
  });
});

test('a breaker that many requests pass over lets one of a hundred try, whatever its time', () => {
  const breaker = new Breaker();
  const config = { ...CONFIG, consecutiveFailures: 1, maxOpenMs: 60_000 };
  let now = 0;
  // Often enough that it would be open for long.
  for (let opening = 0; opening < 6; opening += 1) {
    breaker.failed({}, now, config);
    now = breaker.opensAgainAt;
  }
  breaker.failed({}, now, config);
  const reopened = now;
  expect(breaker.opensAgainAt - reopened).toBe(60_000);
  const admitted = Array.from({ length: 101 }, () => breaker.admits(reopened + 500));
  expect(admitted).not.toContain(true);
  // Never sooner than after the first time that it was open for.
  expect(breaker.admits(reopened + config.openMs)).toBe(true);
  const probe = breaker.begin(reopened + config.openMs);
  expect(breaker.admits(reopened + config.openMs)).toBe(false);
  breaker.failed(probe, reopened + config.openMs, config);
  for (let request = 0; request < 100; request += 1) expect(breaker.admits(reopened + 10_000)).toBe(false);
  expect(breaker.admits(reopened + 10_000)).toBe(true);
});

describe('processes that share what they know', () => {
  const policy = { ...STANDARD_POLICY };
  function store(): SharedBreakers & { readonly open: Map<string, number> } {
    const open = new Map<string, number>();
    return {
      open,
      read: async () => open,
      write: async (backend, until) => {
        open.set(backend, until);
      },
    };
  }

  test('learn of an outage and of its end from each other', async () => {
    let now = 100_000;
    const shared = store();
    const [one, two] = [new Health(shared, () => now), new Health(shared, () => now)];
    for (let call = 0; call < 3; call += 1) one.failed('b', {}, DOWN, policy);
    await two.refresh('chat', ['b'], policy);
    expect(two.admits('b')).toBe(false);
    now += 6000;
    expect(two.admits('b')).toBe(true);
    one.succeeded('b', one.begin('b'), 10, policy);
    expect(shared.open.get('b')).toBe(0);
  });

  test("believe no time that is longer than they would wait themselves: another one's clock may be wrong", async () => {
    const shared = store();
    const now = 100_000;
    shared.open.set('b', now + 3_000_000);
    const health = new Health(shared, () => now);
    await health.refresh('chat', ['b'], policy);
    expect(health.admits('b')).toBe(false);
    const later = new Health(shared, () => time);
    let time = now;
    await later.refresh('chat', ['b'], policy);
    time += 15_000;
    expect(later.admits('b')).toBe(true);
  });

  test('do without the store when it is down or late', async () => {
    const down: SharedBreakers = {
      read: () => Promise.reject(new Error('down')),
      write: () => Promise.reject(new Error('down')),
    };
    const late: SharedBreakers = { read: () => new Promise(() => {}), write: async () => {} };
    for (const shared of [down, late]) {
      const health = new Health(shared);
      const start = performance.now();
      await health.refresh('chat', ['b'], policy);
      expect(performance.now() - start).toBeLessThan(500);
      for (let call = 0; call < 3; call += 1) health.failed('b', {}, DOWN, policy);
      expect(health.admits('b')).toBe(false);
    }
  });
});

test("what says nothing about a backend doesn't open its breaker", () => {
  const health = new Health();
  for (const kind of ['invalid-request', 'aborted', 'low-quality'] as const) {
    for (let call = 0; call < 5; call += 1) health.failed('b', {}, new BackendError('b', kind, 'x'), STANDARD_POLICY);
  }
  expect(health.admits('b')).toBe(true);
});

test('no quiet time saves up retries: hundreds of processes would spend them on the same outage', () => {
  const [processes, requests, share] = [300, 20, 0.1];
  let retries = 0;
  for (let process = 0; process < processes; process += 1) {
    const budget = new RetryBudget();
    for (let quiet = 0; quiet < 1000; quiet += 1) budget.deposit(share);
    for (let request = 0; request < requests; request += 1) {
      budget.deposit(share);
      if (budget.take()) retries += 1;
    }
  }
  expect(retries).toBeLessThanOrEqual(processes * (2 + requests * share));
});

describe('the wait before a retry', () => {
  const at = (random: number, failures: BackendError[], retry = 0, leftMs = 60_000) =>
    backoffMs(failures, retry, STANDARD_POLICY, leftMs, () => random);

  test('is anything up to a bound that doubles', () => {
    expect([at(0, [DOWN]), at(0.5, [DOWN]), at(1, [DOWN]), at(1, [DOWN], 2), at(1, [DOWN], 10)]).toEqual([
      0, 100, 200, 800, 5000,
    ]);
  });

  test('is never shorter than Retry-After, and none when that or the rest of the time is too long for it', () => {
    const asks = (retryAfterMs: number) => new BackendError('b', 'throttled', 'x', { retryAfterMs });
    expect(at(0.5, [asks(1500)])).toBe(1600);
    expect(at(0.5, [asks(1500), asks(30_000)])).toBe(1600);
    expect(at(0.5, [asks(30_000)])).toBeUndefined();
    expect(at(0.5, [asks(1500)], 0, 1000)).toBeUndefined();
  });
});

test('the 95th percentile of recent times needs some, and follows them', () => {
  const latency = new RecentLatency();
  for (let index = 0; index < 9; index += 1) latency.add(100);
  expect(latency.p95).toBeUndefined();
  for (let index = 0; index < 200; index += 1) latency.add(500);
  expect(latency.p95).toBe(500);
});
