import { scalableTargetsOf } from './autoscaling/from-stack.ts';
import { MINUTE_MS, ScalableTarget } from './autoscaling/scalable-target.ts';
import type { Clock } from './clock.ts';
import type { Gap } from './cloudformation/gaps.ts';
import type { Stack } from './cloudformation/stack.ts';
import type { MetricStore } from './cloudwatch/metric-store.ts';
import type { EngineContainer } from './ecs/definition.ts';
import { ecsOf, type SecretValue } from './ecs/from-stack.ts';
import { Service } from './ecs/service.ts';
import type { TaskHost } from './ecs/task.ts';
import { loadBalancersOf, targetGroupsOf } from './elbv2/from-stack.ts';
import { LoadBalancer } from './elbv2/load-balancer.ts';
import { TargetGroup } from './elbv2/target-group.ts';
import { dialectOf } from './engine/dialects.ts';
import { DEFAULT_PACE, type Situation } from './engine/situation.ts';

export interface FleetOptions {
  readonly clock: Clock;
  readonly store: MetricStore;
  readonly secret: SecretValue;
  /** What answers in the engines. @default - the simulated model */
  readonly model?: Situation['model'];
  /** Of the simulated model. @default DEFAULT_PACE */
  readonly pace?: Situation['pace'];
  /** Milliseconds of the clock until an instance is there. @default 90 s */
  readonly instanceMs?: number;
  /** Milliseconds of the clock until an engine's weights are loaded. @default 60 s */
  readonly loadMs?: number;
  /** What happens to a fleet, and what its tasks write. */
  readonly log: (label: string, line: string) => void;
}

/** A GPU instance from its launch until it takes tasks, and an 8B model's weights from the local disk. */
const INSTANCE_MS = 90_000;
const LOAD_MS = 60_000;

/** An ECS service with what belongs to it. */
export interface Fleet {
  readonly name: string;
  readonly service: Service;
  /** `undefined`: its size is fixed. */
  readonly scaling: ScalableTarget | undefined;
  /** Of the load balancer. */
  readonly url: string | undefined;
  /** What the engine asks for; `undefined`: nothing. */
  readonly apiKey: string | undefined;
  /** What requests call the engine's model. */
  readonly modelName: string | undefined;
}

/** What Container Insights would say of a service: on AWS a task that starts runs already, and has its instance. */
function putContainerInsights(service: Service, store: MetricStore): void {
  const [, ClusterName = '', ServiceName = ''] = service.definition.resourceId.split('/');
  const name = 'RunningTaskCount';
  store.put(
    { namespace: 'ECS/ContainerInsights', name, dimensions: { ClusterName, ServiceName } },
    service.tasks.length,
  );
}

/** A command line that the engine refuses is told by the task that ends of it. */
function clientFactsOf({ kind, command, environment }: EngineContainer): Pick<Fleet, 'apiKey' | 'modelName'> {
  try {
    const { apiKey, settings } = dialectOf(kind, command, environment);
    return { apiKey, modelName: settings.servedNames[0] };
  } catch {
    return { apiKey: undefined, modelName: undefined };
  }
}

/** All fleets of an assembly: load balancers, services and what scales them. */
export class Fleets {
  readonly all: readonly Fleet[];
  readonly gaps: readonly Gap[];
  readonly #groups: ReadonlyMap<string, TargetGroup>;
  readonly #balancers: readonly LoadBalancer[];
  readonly #stopEvaluating: () => void;

  static async start(stacks: readonly Stack[], options: FleetOptions): Promise<Fleets> {
    const { clock } = options;
    const groups = new Map(
      stacks.flatMap(targetGroupsOf).map((definition) => [definition.arn, new TargetGroup({ definition, clock })]),
    );
    const balancers = stacks.flatMap(loadBalancersOf).map((definition) => new LoadBalancer({ definition, groups }));
    try {
      for (const balancer of balancers) await balancer.listen();
      return new Fleets(stacks, options, groups, balancers);
    } catch (error) {
      await Promise.all(balancers.map((balancer) => balancer.close()));
      throw error;
    }
  }

  private constructor(
    stacks: readonly Stack[],
    options: FleetOptions,
    groups: ReadonlyMap<string, TargetGroup>,
    balancers: readonly LoadBalancer[],
  ) {
    const { clock, store, log } = options;
    this.#groups = groups;
    this.#balancers = balancers;
    const host: TaskHost = {
      clock,
      store,
      groups,
      instanceMs: options.instanceMs ?? INSTANCE_MS,
      loadMs: options.loadMs ?? LOAD_MS,
      model: options.model ?? {},
      pace: options.pace ?? DEFAULT_PACE,
      log,
    };
    const targets = stacks.flatMap(scalableTargetsOf);
    const ecs = stacks.map((stack) => ecsOf(stack, options.secret));
    this.gaps = ecs.flatMap(({ gaps }) => gaps);
    this.all = ecs
      .flatMap(({ services }) => services)
      .map((definition) => {
        const target = targets.find(({ resourceId }) => resourceId === definition.resourceId);
        // A service that is scaled starts with its least: CloudFormation sets the count only without a scalable target.
        const desiredCount = target === undefined ? definition.desiredCount : target.minCapacity;
        const service = new Service({
          definition: { ...definition, desiredCount },
          host,
          event: (message) => log(definition.label, message),
        });
        for (const { groupArn } of definition.targets) this.#report(groupArn, definition.label, log);
        return {
          name: definition.label,
          service,
          scaling: target && new ScalableTarget(target, service, store),
          url: this.#urlOf(definition.targets.map(({ groupArn }) => groupArn)),
          ...clientFactsOf(definition.task.engine),
        };
      });
    this.#stopEvaluating = clock.every(MINUTE_MS, () => {
      for (const { service } of this.all) putContainerInsights(service, store);
      for (const { scaling } of this.all) scaling?.evaluate(clock.now());
    });
  }

  /** A variable's value, with the addresses of load balancers replaced by local ones. */
  readonly localized = (value: string): string => {
    let result = value;
    for (const balancer of this.#balancers) {
      const name = balancer.definition.dnsName.replaceAll('.', '\\.');
      const ports = balancer.ports;
      result = result.replaceAll(new RegExp(`(https?)://${name}(?::(\\d+))?`, 'g'), (whole, scheme, port) => {
        const local = ports.get(Number(port ?? (scheme === 'https' ? 443 : 80)));
        return local === undefined ? whole : `http://127.0.0.1:${local}`;
      });
    }
    return result;
  };

  get pids(): number[] {
    return this.all.flatMap(({ service }) => service.tasks.flatMap((task) => task.pid ?? []));
  }

  async close(): Promise<void> {
    this.#stopEvaluating();
    await Promise.all(this.all.map(({ service }) => service.close()));
    for (const group of this.#groups.values()) group.close();
    await Promise.all(this.#balancers.map((balancer) => balancer.close()));
  }

  #urlOf(groupArns: readonly string[]): string | undefined {
    for (const balancer of this.#balancers) {
      const listener = balancer.definition.listeners.find(({ rules }) =>
        rules.some(
          ({ action }) => action.type === 'forward' && action.groups.some(({ arn }) => groupArns.includes(arn)),
        ),
      );
      const port = listener && balancer.ports.get(listener.port);
      if (port !== undefined) return `http://127.0.0.1:${port}`;
    }
    return undefined;
  }

  #report(groupArn: string, label: string, log: FleetOptions['log']): void {
    const group = this.#groups.get(groupArn);
    group?.onChange((target) => log(label, `task ${target.id} is ${target.state}`));
  }
}
