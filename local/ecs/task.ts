import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../clock.ts';
import { Agent } from '../cloudwatch/agent.ts';
import type { MetricStore } from '../cloudwatch/metric-store.ts';
import type { TargetGroup } from '../elbv2/target-group.ts';
import type { OtherFacts } from '../engine/dialects.ts';
import { type Situation, situationVariables } from '../engine/situation.ts';
import type { ServiceDefinition, TaskDefinition } from './definition.ts';

const ENGINE = fileURLToPath(new URL('../engine/main.ts', import.meta.url));

export type TaskState = 'PROVISIONING' | 'RUNNING' | 'DRAINING' | 'STOPPING' | 'STOPPED';

/** Where and how tasks run. */
export interface TaskHost {
  readonly clock: Clock;
  readonly store: MetricStore;
  /** By ARN. */
  readonly groups: ReadonlyMap<string, TargetGroup>;
  /** Milliseconds of the clock until an instance is there. */
  readonly instanceMs: number;
  /** Milliseconds of the clock until the weights are loaded. */
  readonly loadMs: number;
  readonly model: Situation['model'];
  readonly pace: Situation['pace'];
  readonly log: (label: string, line: string) => void;
}

export interface TaskOptions {
  readonly id: string;
  readonly service: ServiceDefinition;
  readonly task: TaskDefinition;
  readonly host: TaskHost;
}

/** One task: the engine as a process of its own, its agents, and its place in the target groups. */
export class Task {
  readonly id: string;
  readonly definition: TaskDefinition;
  readonly createdAt: number;
  /** Resolves when it is STOPPED. */
  readonly stopped: Promise<void>;
  state: TaskState = 'PROVISIONING';
  /** Once it was, it's not the start that failed. */
  wasHealthy = false;
  readonly #options: TaskOptions;
  readonly #cancel = new AbortController();
  #child: ChildProcess | undefined;
  #agents: Agent[] = [];

  constructor(options: TaskOptions) {
    this.#options = options;
    this.id = options.id;
    this.definition = options.task;
    this.createdAt = options.host.clock.now();
    this.stopped = this.#run();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Whether it counts as one that the service has. */
  get active(): boolean {
    return this.state === 'PROVISIONING' || this.state === 'RUNNING';
  }

  get healthy(): boolean {
    const { service } = this.#options;
    if (this.state !== 'RUNNING') return false;
    return service.targets.every(({ groupArn }) => this.#group(groupArn)?.target(this.id)?.state === 'healthy');
  }

  /** Requests that load balancers have on it. */
  get outstanding(): number {
    const targets = this.#options.service.targets.map(({ groupArn }) => this.#group(groupArn)?.target(this.id));
    return targets.reduce((sum, target) => sum + (target?.outstanding ?? 0), 0);
  }

  get unhealthy(): boolean {
    const { service } = this.#options;
    return service.targets.some(({ groupArn }) => this.#group(groupArn)?.target(this.id)?.state === 'unhealthy');
  }

  /** No new requests, then SIGTERM, then SIGKILL: what running requests get is time, real time. */
  async stop(): Promise<void> {
    if (!this.active) return this.stopped;
    this.state = 'DRAINING';
    this.#cancel.abort();
    await this.#deregister();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return this.stopped;
    this.state = 'STOPPING';
    child.kill('SIGTERM');
    const inTime = new AbortController();
    const killed = wait(this.definition.engine.stopTimeoutMs, undefined, { signal: inTime.signal, ref: false })
      .then(() => child.kill('SIGKILL'))
      .catch(() => {});
    await this.stopped;
    inTime.abort();
    await killed;
  }

  /** As a crash, or an instance that is gone. */
  kill(): void {
    this.#cancel.abort();
    this.#child?.kill('SIGKILL');
  }

  async #run(): Promise<void> {
    const { host, service, id } = this.#options;
    try {
      await host.clock.sleep(host.instanceMs, this.#cancel.signal);
      const { engine } = this.definition;
      const ports: Record<number, number> = {};
      for (const port of engine.ports) ports[port] = await freePort();
      this.#cancel.signal.throwIfAborted();
      const exited = this.#spawn(ports);
      this.state = 'RUNNING';
      for (const { groupArn, containerPort } of service.targets) {
        this.#group(groupArn)?.register(id, ports[containerPort] ?? 0);
      }
      const { clock, store } = host;
      this.#agents = this.definition.agents.map((definition) => new Agent({ definition, clock, store, ports }));
      await exited;
    } catch (error) {
      if (!this.#cancel.signal.aborted) throw error;
    } finally {
      this.state = 'STOPPED';
      for (const agent of this.#agents) agent.close();
      await this.#deregister();
    }
  }

  async #spawn(ports: Readonly<Record<number, number>>): Promise<void> {
    const { host, id, service } = this.#options;
    const { engine } = this.definition;
    const { model, pace } = host;
    const child = spawn(process.execPath, [ENGINE, ...engine.command], {
      env: {
        ...(process.env.PATH === undefined ? {} : { PATH: process.env.PATH }),
        ...engine.environment,
        ...situationVariables({
          ...{ kind: engine.kind, other: this.#otherFacts(), ports, loadMs: host.clock.real(host.loadMs), model, pace },
        }),
      },
      // With the channel it notices when this process is gone.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output as Readable }).on('line', (line) => host.log(`${service.label}/${id}`, line));
    }
    await once(child, 'exit');
  }

  /** What an engine that nobody knows has for a surface: the template says it to others. */
  #otherFacts(): OtherFacts {
    const [target] = this.#options.service.targets;
    const [agent] = this.definition.agents;
    const selectors = agent?.declarations[0]?.selectors ?? [];
    return {
      port: target?.containerPort ?? this.definition.engine.ports[0] ?? 0,
      healthPath: (target && this.#group(target.groupArn)?.definition.healthCheck.path) ?? '/health',
      metricsPath: agent?.scrapes[0]?.path ?? '/metrics',
      gauges: selectors.map(({ source }) => source.replace(/^\^|\$$/g, '')),
    };
  }

  async #deregister(): Promise<void> {
    const { service, id } = this.#options;
    await Promise.all(service.targets.map(({ groupArn }) => this.#group(groupArn)?.deregister(id)));
  }

  #group(arn: string): TargetGroup | undefined {
    return this.#options.host.groups.get(arn);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no free port');
  return address.port;
}
