import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { cancelJob } from '../../../lambda/job/cancel-job.ts';
import type { Change, Item } from '../../../lambda/job/change.ts';
import { asJob, isFinal, itemOf, type Job } from '../../../lambda/job/job.ts';
import { deliver, noticeIdOf } from '../../../lambda/job/notice/deliver.ts';
import type { JobTable } from '../../../lambda/job/ports.ts';
import { type Outcome, type Runner, runJob } from '../../../lambda/job/run-job.ts';
import { LEASE_MS } from '../../../lambda/job/transitions.ts';
import { explore, type Gate, type Process, type Processes, type System } from './support/explore.ts';
import { anyJob } from './support/jobs.ts';
import { applied } from './support/memory-table.ts';

const SPENT = { inputTokens: 3, outputTokens: 5, costUsd: 1 };
const answered = (result: string): Outcome => ({ kind: 'answered', result, spent: SPENT });
const refused = (status: number): Outcome => ({
  kind: 'refused',
  status,
  error: { message: 'm', type: 't', param: null, code: 'c' },
  spent: { inputTokens: 0, outputTokens: 0, costUsd: 0 },
});

interface Scenario {
  /** Messages for the job in the queue at first: more than one are duplicates. */
  readonly messages: number;
  readonly cancels: boolean;
  /** How often a worker may die, a message be delivered again while it is handled, and a lease's time pass. */
  readonly deaths: number;
  readonly redeliveries: number;
  readonly leases: number;
  /** What the model says, in the order in which it is asked; the last one again and again. */
  readonly outcomes: readonly Outcome[];
  readonly workers?: number;
  /** Whether what runs cost goes into a ledger. @default - nowhere, which leaves fewer states */
  readonly charges?: boolean;
  readonly job?: Partial<Job>;
}

/** SQS, the table, a model, and workers that handle whatever message comes. */
class Jobs implements System {
  readonly #processes: Processes;
  readonly #scenario: Scenario;
  #item: Item;
  #now = 0;
  #messages: number;
  readonly #inFlight = new Map<string, Process>();
  #deaths: number;
  #redeliveries: number;
  #leases: number;
  #asked = 0;
  #firstEnd: Item | undefined;
  readonly #notices = new Set<string>();
  /** Records by their ids, in which each counts once, as in the real one. */
  readonly #ledger = new Map<string, number>();

  constructor(processes: Processes, scenario: Scenario) {
    this.#processes = processes;
    this.#scenario = scenario;
    this.#item = itemOf(anyJob({ notice: 'due', webhookUrl: 'https://example.com', ...scenario.job }));
    this.#messages = scenario.messages;
    this.#deaths = scenario.deaths;
    this.#redeliveries = scenario.redeliveries;
    this.#leases = scenario.leases;
    if (scenario.cancels) {
      processes.start(
        'cancel',
        (gate) => cancelJob(asJob(this.#item), this.#runner(gate, 'c')).then(() => {}),
        rethrow,
      );
    }
  }

  state(): unknown {
    return [
      this.#item,
      this.#now,
      this.#messages,
      this.#deaths,
      this.#redeliveries,
      this.#leases,
      this.#asked,
      [...this.#notices],
      [...this.#ledger],
      [...this.#inFlight.keys()].sort(),
    ];
  }

  actions() {
    const actions = [];
    const slots = Array.from({ length: this.#scenario.workers ?? 2 }, (_, index) => `w${index}`);
    const idle = slots.find((slot) => !this.#inFlight.has(slot));
    if (this.#messages > 0 && idle !== undefined) {
      actions.push({
        name: `deliver to ${idle}`,
        act: () => {
          this.#messages--;
          this.#work(idle);
        },
      });
    }
    if (this.#redeliveries > 0 && this.#inFlight.size > 0) {
      actions.push({
        name: 'redelivery',
        act: () => {
          this.#redeliveries--;
          this.#messages++;
        },
      });
    }
    for (const [slot, process] of this.#deaths > 0 ? this.#inFlight : []) {
      actions.push({
        name: `${slot} dies`,
        act: () => {
          this.#deaths--;
          this.#processes.kill(process);
          this.#inFlight.delete(slot);
          // Its visibility runs out some day.
          this.#messages++;
        },
      });
    }
    if (this.#leases > 0 || this.#isStuckInTime()) {
      actions.push({
        name: 'time passes',
        act: () => {
          this.#leases = Math.max(0, this.#leases - 1);
          this.#now += LEASE_MS + 1;
        },
      });
    }
    return actions;
  }

  /** Nothing but time can help: that isn't rationed. */
  #isStuckInTime(): boolean {
    const { status, notBefore, leaseUntil } = asJob(this.#item);
    if (this.#processes.all.length > 0) return false;
    return (status === 'queued' && notBefore > this.#now) || (status === 'running' && (leaseUntil ?? 0) > this.#now);
  }

  #work(slot: string): void {
    const process = this.#processes.start(
      slot,
      (gate, self) => runJob('job_1', this.#runner(gate, slot, self)),
      (error) => {
        rethrow(error);
        this.#inFlight.delete(slot);
      },
    );
    this.#inFlight.set(slot, process);
  }

  #runner(gate: Gate, slot: string, self?: Process): Runner {
    const table: JobTable = {
      get: () => gate('get', () => asJob(this.#item)),
      create: () => Promise.reject(new Error('not here')),
      change: (_, change) => gate('change', () => this.#change(change)),
    };
    let renewal: (() => Promise<void>) | undefined;
    return {
      table,
      queues: {
        run: () =>
          gate('send', () => {
            this.#messages++;
          }),
        notify: (job) =>
          gate('notify', () => {
            this.#notices.add(noticeIdOf(asJob(itemOf({ ...anyJob(), ...job }))));
          }),
      },
      blobs: { put: () => gate('put', () => {}), get: () => gate('read', () => '') },
      settleAgain: (_, usage) => gate('settle again', () => void this.#charge(usage)),
      ask: async (job, _, { signal }) => {
        const { outcomes } = this.#scenario;
        const outcome = await gate('ask', () => outcomes[Math.min(this.#asked++, outcomes.length - 1)] as Outcome);
        await renewal?.();
        const ended: Outcome = signal.aborted ? { kind: 'stopped', spent: SPENT } : named(outcome, slot);
        return this.#scenario.charges ? { ...ended, account: this.#accountOf(job, ended, gate) } : ended;
      },
      now: () => this.#now,
      random: () => 0,
      // Unlike every id that somebody alive holds, and the item.
      newRun: () => {
        const used = [...this.#processes.all.map(({ past }) => past.join()), JSON.stringify(this.#item)].join();
        let run = 0;
        while (used.includes(`run-${run}`)) run++;
        self?.past.push(`run-${run}`);
        return `run-${run}`;
      },
      every: (_, call) => {
        renewal = call;
        return () => {};
      },
    };
  }

  /** A record of its own for each run that costs something. */
  #accountOf({ run = '' }: Job, { spent }: Outcome, gate: Gate): NonNullable<Outcome['account']> {
    const bill = { backend: 'b', inputTokens: 3, outputTokens: 5, cachedInputTokens: 0, costNano: 1, estimated: false };
    const usage = {
      ...{ id: run, at: 0, consumer: 'alice', model: 'chat', feature: '', user: '', savedNano: 0, bills: [bill] },
    };
    if (spent.costUsd === 0) return { usage: undefined, settle: async () => true };
    return {
      usage,
      settle: (charged) => gate('settle', () => (charged ? this.#charge(usage) : true)),
    };
  }

  #charge({ id }: { readonly id: string }): true {
    this.#ledger.set(id, 1);
    return true;
  }

  #change(change: Change): Job | undefined {
    const next = applied(change, this.#item);
    if (next === undefined) return undefined;
    this.#item = next;
    return asJob(next);
  }

  check(): void {
    const job = asJob(this.#item);
    // Which run had it when it was cancelled, and what that has to settle, is nobody's to see.
    const { run: _, unsettled: __, ...seen } = this.#item;
    if (isFinal(job)) this.#firstEnd ??= seen;
    // One end, which nothing changes: one result, one charge.
    assert(this.#firstEnd === undefined || isDeepStrictEqual(seen, this.#firstEnd), 'an end was changed');
    assert((job.result !== undefined) === (job.status === 'succeeded'), `${job.status} and a result`);
    assert((job.error !== undefined) === (job.status === 'failed'), `${job.status} and an error`);
    assert(job.status !== 'succeeded' || (job.costUsd ?? 0) > 0, 'a result without a charge');
  }

  checkEnd(): void {
    const job = asJob(this.#item);
    expect(isFinal(job), `the job is ${job.status} and no message is left`).toBe(true);
    expect([...this.#notices]).toEqual(['msg_job_1']);
    if (!this.#scenario.charges) return;
    if (job.unsettled !== undefined) expect([...this.#ledger.keys()]).toContain(JSON.parse(job.unsettled).id);
    // A dollar a run; what a cancellation cut short is in the ledger only.
    if (job.status !== 'cancelled') expect(this.#ledger.size).toBe(job.costUsd ?? 0);
    else expect([0, 1]).toContain(this.#ledger.size - (job.costUsd ?? 0));
  }
}

/** Each run's answer is another one: a result that two runs had a part in would show. */
const named = (outcome: Outcome, slot: string): Outcome =>
  outcome.kind === 'answered' ? { ...outcome, result: `${outcome.result} by ${slot}` } : outcome;

function rethrow(error: unknown): void {
  if (error !== undefined) throw error;
}

const QUIET = { messages: 1, cancels: false, deaths: 0, redeliveries: 0, leases: 0, outcomes: [answered('a')] };

// Thousands of states, each reached by running from the beginning: seconds, on a machine that is busy a minute.
const TIMEOUT_MS = 240_000;

describe('whatever the order of what happens, a job has one end, told at least once under one id', () => {
  test.each<[string, Partial<Scenario>, number]>([
    ['two workers, a duplicate message', { messages: 2, leases: 1 }, 100],
    ['a worker that dies at any point', { deaths: 1, leases: 1 }, 30],
    ['two workers, a cancellation, a redelivery', { messages: 1, cancels: true, redeliveries: 1, leases: 1 }, 500],
    [
      'two workers, a cancellation, a redelivery, a death',
      { cancels: true, redeliveries: 1, deaths: 1, leases: 1 },
      1000,
    ],
    ['a refusal, then an answer', { redeliveries: 1, cancels: true, outcomes: [refused(429), answered('a')] }, 100],
    ['failures until it is given up', { messages: 1, redeliveries: 1, outcomes: [refused(500)] }, 50],
    ['an error of the client', { cancels: true, redeliveries: 1, outcomes: [refused(400)] }, 100],
    [
      'a run that stops and is gone on with',
      {
        redeliveries: 1,
        deaths: 1,
        leases: 1,
        outcomes: [{ kind: 'stopped', partial: 'half', spent: SPENT }, answered('whole')],
      },
      100,
    ],
    ['a worker that dies at any point, and charges', { deaths: 1, leases: 1, charges: true }, 30],
    ['a cancellation, a redelivery, and charges', { cancels: true, redeliveries: 1, leases: 1, charges: true }, 500],
    [
      'a run that is gone on with, a death, and charges',
      {
        deaths: 1,
        leases: 1,
        charges: true,
        outcomes: [{ kind: 'stopped', partial: 'half', spent: SPENT }, answered('whole')],
      },
      50,
    ],
    ['a job whose time runs out', { redeliveries: 1, leases: 2, job: { expiresAt: LEASE_MS } }, 50],
  ])(
    '%s',
    async (_, scenario, least) => {
      const { states, ends } = await explore((processes) => new Jobs(processes, { ...QUIET, ...scenario }));
      expect(ends).toBeGreaterThan(0);
      expect(states).toBeGreaterThan(least);
    },
    TIMEOUT_MS,
  );
});

/** The notices' queue, a receiver, and deliverers. */
class Notices implements System {
  readonly #processes: Processes;
  readonly #outcomes: readonly boolean[];
  #item: Item = itemOf(
    anyJob({ status: 'succeeded', result: 'a', endedAt: 0, notice: 'due', webhookUrl: 'https://a.example' }),
  );
  #now = 0;
  #messages = 2;
  #deaths = 1;
  readonly #inFlight = new Map<string, Process>();
  #received = 0;
  readonly #ids = new Set<string>();
  #isBuried = false;

  constructor(processes: Processes, outcomes: readonly boolean[]) {
    this.#processes = processes;
    this.#outcomes = outcomes;
  }

  state(): unknown {
    return [
      this.#item,
      this.#now,
      this.#messages,
      this.#deaths,
      this.#received,
      this.#isBuried,
      [...this.#inFlight.keys()].sort(),
    ];
  }

  actions() {
    const actions = [];
    const idle = ['d0', 'd1'].find((slot) => !this.#inFlight.has(slot));
    if (this.#messages > 0 && idle !== undefined) {
      actions.push({ name: `deliver to ${idle}`, act: () => this.#start(idle) });
    }
    for (const [slot, process] of this.#deaths > 0 ? this.#inFlight : []) {
      actions.push({
        name: `${slot} dies`,
        act: () => {
          this.#deaths--;
          this.#processes.kill(process);
          this.#inFlight.delete(slot);
          this.#messages++;
        },
      });
    }
    if (this.#inFlight.size === 0 && this.#messages > 0) {
      actions.push({ name: 'time passes', act: () => this.#advance() });
    }
    return actions;
  }

  #advance(): void {
    const { noticeAt = 0, noticeLeaseUntil = 0 } = asJob(this.#item);
    this.#now = Math.max(this.#now, noticeAt, noticeLeaseUntil);
  }

  #start(slot: string): void {
    this.#messages--;
    const process = this.#processes.start(
      slot,
      (gate, self) =>
        deliver('job_1', {
          table: {
            get: () => gate('get', () => asJob(this.#item)),
            create: () => Promise.reject(new Error('not here')),
            change: (_, change) => gate('change', () => this.#change(change)),
          },
          queues: {
            run: () => Promise.reject(new Error('not here')),
            notify: () => gate('notify', () => void this.#messages++),
          },
          send: async (_, id) => {
            const ok = await gate('send', () => {
              this.#ids.add(id);
              return this.#outcomes[this.#received++] ?? true;
            });
            return { ok, ...(ok ? { status: 204 } : { status: 500, reason: 'status 500' }) };
          },
          bury: () =>
            gate('bury', () => {
              this.#isBuried = true;
            }),
          pauses: [1000],
          now: () => this.#now,
          random: () => 0,
          newRun: () => {
            const used = [...this.#processes.all.map(({ past }) => past.join()), JSON.stringify(this.#item)].join();
            let run = 0;
            while (used.includes(`run-${run}`)) run++;
            self.past.push(`run-${run}`);
            return `run-${run}`;
          },
        }),
      (error) => {
        rethrow(error);
        this.#inFlight.delete(slot);
      },
    );
    this.#inFlight.set(slot, process);
  }

  #change(change: Change): Job | undefined {
    const next = applied(change, this.#item);
    if (next === undefined) return undefined;
    this.#item = next;
    return asJob(next);
  }

  check(): void {
    assert(this.#ids.size <= 1, 'one notification under two ids');
    assert(asJob(this.#item).notice !== 'dead' || this.#isBuried, 'given up, and nowhere to be found');
  }

  checkEnd(): void {
    const { notice } = asJob(this.#item);
    expect(['delivered', 'dead']).toContain(notice);
    expect(this.#received).toBeGreaterThan(0);
  }
}

describe('whatever the order, a notification is delivered under one id, or buried', () => {
  test.each<[string, readonly boolean[]]>([
    ['a receiver that answers', [true]],
    ['one that fails at first', [false, true]],
    ['one that always fails', [false, false, false, false]],
  ])('%s', async (_, outcomes) => {
    const { states, ends } = await explore((processes) => new Notices(processes, outcomes));
    expect(ends).toBeGreaterThan(0);
    expect(states).toBeGreaterThan(30);
  });
});
