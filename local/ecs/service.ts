import { randomBytes } from 'node:crypto';
import type { Capacity } from '../autoscaling/scalable-target.ts';
import type { ServiceDefinition, TaskDefinition } from './definition.ts';
import { Task, type TaskHost } from './task.ts';

export interface ServiceOptions {
  readonly definition: ServiceDefinition;
  readonly host: TaskHost;
  /** What happens to it, for people. */
  readonly event: (message: string) => void;
}

/** ECS looks after its services every few seconds. */
const RECONCILE_MS = 5_000;
/** A task that doesn't stay is started again after a time that doubles, up to 15 minutes. */
const FIRST_BACKOFF_MS = 5_000;
const LAST_BACKOFF_MS = 900_000;
/** Failed starts that end a deployment: half of the tasks, at least 3, at most 200. */
const LEAST_FAILURES = 3;
const MOST_FAILURES = 200;

/** Keeps as many tasks running as are desired, all of them of the latest task definition. */
export class Service implements Capacity {
  readonly definition: ServiceDefinition;
  readonly #options: ServiceOptions;
  readonly #stopReconciling: () => void;
  /** Those that were told to stop. */
  readonly #asked = new WeakSet<Task>();
  #tasks: Task[] = [];
  #desired: number;
  /** The deployment's. */
  #current: TaskDefinition;
  /** To go back to. */
  #previous: TaskDefinition | undefined;
  #deploying = true;
  #failed = false;
  #failures = 0;
  #notBefore = 0;
  #closed = false;
  #waiters: Array<() => void> = [];

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.definition = options.definition;
    this.#desired = options.definition.desiredCount;
    this.#current = options.definition.task;
    this.#stopReconciling = options.host.clock.every(RECONCILE_MS, () => this.#reconcile());
    this.#reconcile();
  }

  get desired(): number {
    return this.#desired;
  }

  get tasks(): Task[] {
    return [...this.#tasks];
  }

  get healthyTasks(): Task[] {
    return this.#tasks.filter((task) => task.healthy);
  }

  /** Whether tasks are being replaced. */
  get deploying(): boolean {
    return this.#deploying;
  }

  setDesired(desired: number, reason: string): void {
    if (desired === this.#desired) return;
    this.#options.event(`${this.#desired} → ${desired} tasks: ${reason}`);
    this.#desired = desired;
    this.#reconcile();
  }

  /**
   * Replaces all tasks, by those of another task definition when there is one. Resolves when that is done or given up.
   */
  async deploy(task: Partial<TaskDefinition> = {}): Promise<void> {
    this.#previous = this.#current;
    this.#current = { ...this.#current, ...task };
    this.#deploying = true;
    this.#failed = false;
    this.#failures = 0;
    this.#notBefore = 0;
    this.#options.event('a deployment has begun');
    this.#reconcile();
    await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Ends at once, without draining. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stopReconciling();
    for (const resolve of this.#waiters.splice(0)) resolve();
    const tasks = [...this.#tasks];
    for (const task of tasks) task.kill();
    await Promise.all(tasks.map((task) => task.stopped));
  }

  #reconcile(): void {
    if (this.#closed) return;
    for (const task of this.#tasks) if (task.healthy) task.wasHealthy = true;
    this.#replaceUnhealthy();
    const active = this.#tasks.filter((task) => task.active);
    const current = active.filter((task) => task.definition === this.#current);
    const old = active.filter((task) => task.definition !== this.#current);
    this.#start(current.length, old.length);
    this.#stopOld(old);
    for (const task of surplus(current, current.length - this.#desired)) this.#stopTask(task);
    const healthy = current.filter((task) => task.healthy).length;
    if (this.#deploying && old.length === 0 && healthy >= this.#desired) this.#complete();
  }

  #start(current: number, old: number): void {
    const { maxHealthyPercent } = this.definition;
    if (this.#failed || this.#options.host.clock.now() < this.#notBefore) return;
    // Tasks that stop hold their GPU until they are gone; without a deployment they are let be.
    const stopping = this.#deploying ? this.#tasks.length - current - old : 0;
    const most = Math.max(1, Math.floor((this.#desired * maxHealthyPercent) / 100));
    const room = old > 0 || stopping > 0 ? most - (current + old + stopping) : Number.POSITIVE_INFINITY;
    const missing = Math.min(this.#desired - current, room);
    for (let i = 0; i < missing; i += 1) this.#launch();
  }

  #launch(): void {
    const { definition, host, event } = this.#options;
    const task = new Task({ id: randomBytes(4).toString('hex'), service: definition, task: this.#current, host });
    this.#tasks.push(task);
    task.stopped.catch((error: unknown) => event(`task ${task.id}: ${String(error)}`)).finally(() => this.#ended(task));
  }

  #ended(task: Task): void {
    const { event, host } = this.#options;
    const wasAsked = this.#asked.has(task);
    this.#tasks = this.#tasks.filter((other) => other !== task);
    if (this.#closed) return;
    if (!wasAsked) {
      event(`task ${task.id} has ended by itself`);
      if (task.wasHealthy) this.#failures = 0;
      else {
        this.#failures += 1;
        const backoff = Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (this.#failures - 1));
        this.#notBefore = host.clock.now() + backoff;
        this.#breakCircuit(task);
      }
    }
    this.#reconcile();
  }

  #stopTask(task: Task): void {
    this.#asked.add(task);
    void task.stop();
  }

  #breakCircuit(task: Task): void {
    const { circuitBreaker } = this.definition;
    const threshold = Math.min(MOST_FAILURES, Math.max(LEAST_FAILURES, Math.ceil(this.#desired / 2)));
    const ours = task.definition === this.#current && this.#deploying;
    if (!circuitBreaker.enabled || !ours || this.#failures < threshold) return;
    if (circuitBreaker.rollback && this.#previous !== undefined) {
      this.#options.event(`${this.#failures} tasks failed to start: the deployment is rolled back`);
      this.#current = this.#previous;
      this.#previous = undefined;
      this.#failures = 0;
      this.#notBefore = 0;
      return;
    }
    this.#options.event(`${this.#failures} tasks failed to start: the deployment has failed, no more are started`);
    this.#failed = true;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #stopOld(old: readonly Task[]): void {
    const least = Math.ceil((this.#desired * this.definition.minHealthyPercent) / 100);
    let healthy = this.healthyTasks.length;
    for (const task of surplus(old, old.length)) {
      if (task.healthy && healthy - 1 < least) continue;
      if (task.healthy) healthy -= 1;
      this.#stopTask(task);
    }
  }

  #replaceUnhealthy(): void {
    const { event, host } = this.#options;
    for (const task of this.#tasks) {
      const graced = host.clock.now() < task.createdAt + host.instanceMs + this.definition.healthCheckGraceMs;
      if (!task.active || graced || !task.unhealthy) continue;
      event(`task ${task.id} fails its health checks, and is replaced`);
      this.#stopTask(task);
    }
  }

  #complete(): void {
    this.#deploying = false;
    this.#failures = 0;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

/** Which to stop first: those that don't serve, then the youngest. */
function surplus(tasks: readonly Task[], count: number): Task[] {
  if (count <= 0) return [];
  return [...tasks].sort((a, b) => Number(a.healthy) - Number(b.healthy) || b.createdAt - a.createdAt).slice(0, count);
}
