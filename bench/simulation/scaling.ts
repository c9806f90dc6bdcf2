import type { ScalableTargetDefinition } from '../../local/autoscaling/scalable-target.ts';
import { MINUTE_MS, ScalableTarget } from '../../local/autoscaling/scalable-target.ts';
import type { AgentDefinition } from '../../local/cloudwatch/agent.ts';
import { MetricStore } from '../../local/cloudwatch/metric-store.ts';
import { type EngineLimits, SimulatedEngine, type SimulatedRequest } from './engine.ts';

/** What a request must have met: seconds to the first token, and between two tokens on average. */
export interface Objective {
  readonly firstToken: number;
  readonly betweenTokens: number;
}

export interface ScalingOptions {
  readonly requests: readonly SimulatedRequest[];
  readonly engine: EngineLimits;
  readonly objective: Objective;
  /** Seconds from the decision to start a task until it serves. */
  readonly startSeconds: number;
  readonly minTasks: number;
  /** How many tasks there should be. */
  readonly control: Control;
}

export type Control =
  /** The template's policies decide, by the metrics that the template's agent would put. */
  | { readonly type: 'policy'; readonly scaling: ScalableTargetDefinition; readonly agent: AgentDefinition }
  /** By minute; tasks are there when their minute begins, for they were started in time. */
  | { readonly type: 'plan'; readonly tasks: readonly number[] };

export interface ScalingResult {
  /** Share of all requests that met the objective; those that were refused didn't. */
  readonly attainment: number;
  readonly refused: number;
  readonly firstTokenP99: number;
  /** From the decision to start to the end of the last answer. */
  readonly taskHours: number;
  /** Tasks that were held, by minute. */
  readonly tasksByMinute: readonly number[];
}

interface Task {
  readonly engine: SimulatedEngine;
  /** Second from which on it serves. */
  readonly ready: number;
  /** It gets nothing new. */
  draining: boolean;
}

/** One run of a fleet behind a load balancer that sends each request to the task with the fewest. */
export function simulateScaling(options: ScalingOptions): ScalingResult {
  const { requests, engine, objective, control, startSeconds } = options;
  let tasks: Task[] = [];
  let met = 0;
  let refused = 0;
  let heldSeconds = 0;
  let now = 0;
  const firstTokens: number[] = [];
  const tasksByMinute: number[] = [];

  const launch = (ready: number): void => {
    // A plan's tasks are started before their time.
    if (control.type === 'plan' && ready > 0) heldSeconds += startSeconds;
    const task = new SimulatedEngine(engine, ready, ({ request, firstToken = 0, end = 0 }) => {
      const wait = firstToken - request.arrival;
      firstTokens.push(wait);
      const between = request.outputTokens < 2 ? 0 : (end - firstToken) / (request.outputTokens - 1);
      if (wait <= objective.firstToken && between <= objective.betweenTokens) met += 1;
    });
    tasks.push({ engine: task, ready, draining: false });
  };
  const active = (): Task[] => tasks.filter(({ draining }) => !draining);
  const resize = (desired: number, ready: number): void => {
    // The youngest go first, as with ECS when instances are packed.
    for (const task of active().slice(desired)) task.draining = true;
    while (active().length < desired) launch(ready);
  };
  const advance = (to: number): void => {
    for (const task of tasks) task.engine.advance(to);
    heldSeconds += tasks.length * (to - now);
    tasks = tasks.filter(({ draining, engine: { inFlight } }) => !draining || inFlight > 0);
    now = to;
  };
  const dispatch = (request: SimulatedRequest): void => {
    let least: Task | undefined;
    for (const task of tasks) {
      if (task.draining || task.ready > now) continue;
      if (least === undefined || task.engine.inFlight < least.engine.inFlight) least = task;
    }
    if (least?.engine.add(request) !== true) refused += 1;
  };

  const clock = controller(options, { active, serving: () => tasks.filter(({ ready }) => ready <= now), resize });
  clock.start();
  let next = 0;
  const lastArrival = requests.at(-1)?.arrival ?? 0;
  for (let second = 0; second <= lastArrival || tasks.some(({ engine: e }) => e.inFlight > 0); second += 1) {
    for (; (requests[next]?.arrival ?? Number.POSITIVE_INFINITY) < second + 1; next += 1) {
      const request = requests[next] as SimulatedRequest;
      for (const task of tasks) task.engine.advance(request.arrival);
      dispatch(request);
    }
    advance(second + 1);
    if (second % 60 === 59) tasksByMinute.push(tasks.length);
    if (second <= lastArrival) clock.tick(second + 1);
  }
  firstTokens.sort((a, b) => a - b);
  return {
    attainment: met / requests.length,
    refused,
    firstTokenP99: firstTokens[Math.floor(firstTokens.length * 0.99)] ?? Number.NaN,
    taskHours: heldSeconds / 3600,
    tasksByMinute,
  };
}

interface Hands {
  active(): readonly Task[];
  serving(): readonly Task[];
  resize(desired: number, ready: number): void;
}

function controller(options: ScalingOptions, hands: Hands): { start(): void; tick(now: number): void } {
  const { control, minTasks } = options;
  if (control.type === 'plan') {
    const at = (minute: number): number => control.tasks[minute] ?? 0;
    return {
      start: () => hands.resize(at(0), 0),
      tick: (now) => {
        if (now % 60 === 0 && now / 60 < control.tasks.length) hands.resize(at(now / 60), now);
      },
    };
  }
  let time = 0;
  const store = new MetricStore({ now: () => time * 1000 });
  const capacity = {
    get desired(): number {
      return hands.active().length;
    },
    setDesired: (desired: number): void => hands.resize(desired, time + options.startSeconds),
  };
  hands.resize(minTasks, 0);
  const target = new ScalableTarget(control.scaling, capacity, store);
  const { agent } = control;
  return {
    start: () => {},
    tick(now) {
      time = now;
      if ((now * 1000) % agent.intervalMs === 0) {
        for (const task of hands.serving()) {
          put(store, agent, 'vllm:num_requests_running', task.engine.running);
          put(store, agent, 'vllm:num_requests_waiting', task.engine.waiting);
        }
      }
      if ((now * 1000) % MINUTE_MS === 0) target.evaluate(now * 1000);
    },
  };
}

/** As the agent beside each task would, with the dimensions of its configuration. */
function put(store: MetricStore, agent: AgentDefinition, name: string, value: number): void {
  const labels = agent.scrapes[0]?.labels ?? {};
  for (const { selectors, dimensions } of agent.declarations) {
    if (!selectors.some((selector) => selector.test(name))) continue;
    for (const set of dimensions) {
      const values = Object.fromEntries(set.map((label) => [label, labels[label] ?? '']));
      store.put({ namespace: agent.namespace, name, dimensions: values }, value);
    }
  }
}
