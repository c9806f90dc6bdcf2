import type { Clock } from '../clock.ts';
import { isArray, isObject, type Json, type JsonObject } from '../cloudformation/template.ts';
import type { MetricStore } from './metric-store.ts';

/** What a CloudWatch agent beside a container scrapes, and makes metrics of. */
export interface AgentDefinition {
  readonly intervalMs: number;
  readonly scrapes: readonly ScrapeDefinition[];
  readonly namespace: string;
  readonly declarations: readonly Declaration[];
}

export interface ScrapeDefinition {
  /** Container port on localhost. */
  readonly port: number;
  readonly path: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Which series become metrics, and by which labels. */
interface Declaration {
  readonly sourceLabels: readonly string[];
  readonly matcher: RegExp;
  readonly selectors: readonly RegExp[];
  readonly dimensions: ReadonlyArray<readonly string[]>;
}

/** Prometheus' default. */
const SCRAPE_INTERVAL_MS = 60_000;

/**
 * Reads `PROMETHEUS_CONFIG_CONTENT` and `CW_CONFIG_CONTENT` of an agent's container.
 * @throws Error when they can't be read
 */
export function agentOf(name: string, environment: Readonly<Record<string, string>>): AgentDefinition {
  const prometheus = json(name, 'PROMETHEUS_CONFIG_CONTENT', environment);
  const agent = json(name, 'CW_CONFIG_CONTENT', environment);
  const collected = object(object(object(agent.logs).metrics_collected).prometheus);
  const processor = object(collected.emf_processor);
  const scrapes = list(prometheus.scrape_configs).flatMap((config) =>
    list(object(config).static_configs).flatMap((group) =>
      list(object(group).targets).map((target): ScrapeDefinition => {
        const { job_name, metrics_path = '/metrics' } = object(config);
        const port = Number(/^(?:localhost|127\.0\.0\.1):(\d+)$/.exec(String(target))?.[1]);
        if (Number.isNaN(port)) throw new Error(`${name}: the local run scrapes localhost only, not ${String(target)}`);
        const labels = { job: String(job_name), instance: String(target), ...strings(object(group).labels) };
        return { port, path: String(metrics_path), labels };
      }),
    ),
  );
  return {
    intervalMs: durationMs(String(object(prometheus.global).scrape_interval ?? ''), name),
    scrapes,
    namespace: String(processor.metric_namespace ?? 'ECS/ContainerInsights/Prometheus'),
    declarations: list(processor.metric_declaration).map((value) => {
      const declaration = object(value);
      return {
        sourceLabels: list(declaration.source_labels).map(String),
        matcher: new RegExp(String(declaration.label_matcher ?? '.*')),
        selectors: list(declaration.metric_selectors).map((selector) => new RegExp(String(selector))),
        dimensions: list(declaration.dimensions).map((set) => list(set).map(String)),
      };
    }),
  };
}

/** YAML, of which JSON is a part; that is the part that is understood here. */
function json(name: string, variable: string, environment: Readonly<Record<string, string>>): JsonObject {
  try {
    return object(JSON.parse(environment[variable] ?? '') as Json);
  } catch {
    throw new Error(`${name}: the local run reads ${variable} as JSON only`);
  }
}

function durationMs(text: string, name: string): number {
  if (text === '') return SCRAPE_INTERVAL_MS;
  const [, count = '', unit = ''] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(count) * ({ ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit] ?? Number.NaN);
  if (!(ms > 0)) throw new Error(`${name}: ${text} is no scrape interval`);
  return ms;
}

export interface Series {
  readonly name: string;
  readonly kind: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Prometheus' text format. */
export function parsePrometheus(text: string): Series[] {
  const kinds = new Map<string, string>();
  const series: Series[] = [];
  for (const line of text.split('\n')) {
    const [, typed, kind] = /^# TYPE (\S+) (\S+)/.exec(line) ?? [];
    if (typed !== undefined && kind !== undefined) kinds.set(typed, kind);
    const [, name, labels = '', value] = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    if (name === undefined) continue;
    const base = name.replace(/_(bucket|sum|count)$/, '');
    series.push({
      name,
      kind: kinds.get(name) ?? kinds.get(base) ?? 'untyped',
      labels: Object.fromEntries(
        [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', text_ = '']) => [label, text_]),
      ),
      value: Number(value),
    });
  }
  return series;
}

export interface AgentOptions {
  readonly definition: AgentDefinition;
  readonly clock: Clock;
  readonly store: MetricStore;
  /** Local port by container port. */
  readonly ports: Readonly<Record<number, number>>;
}

/** The agent of one task. Gauges are put as they are, counters as what was added since the last scrape. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #counters = new Map<string, number>();
  readonly #stop: () => void;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#stop = options.clock.every(options.definition.intervalMs, () => this.#scrape());
  }

  close(): void {
    this.#stop();
  }

  async #scrape(): Promise<void> {
    for (const scrape of this.#options.definition.scrapes) {
      let text: string;
      try {
        const response = await fetch(`http://127.0.0.1:${this.#options.ports[scrape.port]}${scrape.path}`);
        text = await response.text();
        if (!response.ok) continue;
      } catch {
        // The weights load, or the engine has ended.
        continue;
      }
      for (const series of parsePrometheus(text))
        this.#put({ ...series, labels: { ...series.labels, ...scrape.labels } });
    }
  }

  #put(series: Series): void {
    const { definition, store } = this.#options;
    if (series.kind !== 'gauge' && series.kind !== 'counter') return;
    const value = series.kind === 'counter' ? this.#added(series) : series.value;
    if (value === undefined) return;
    for (const { sourceLabels, matcher, selectors, dimensions } of definition.declarations) {
      const labels = sourceLabels.map((label) => series.labels[label] ?? '').join(';');
      if (!matcher.test(labels) || !selectors.some((selector) => selector.test(series.name))) continue;
      for (const set of dimensions) {
        const values = Object.fromEntries(set.map((label) => [label, series.labels[label] ?? '']));
        store.put({ namespace: definition.namespace, name: series.name, dimensions: values }, value);
      }
    }
  }

  /** The first value says nothing yet. */
  #added({ name, labels, value }: Series): number | undefined {
    const id = JSON.stringify([name, labels]);
    const before = this.#counters.get(id);
    this.#counters.set(id, value);
    return before === undefined ? undefined : value - before;
  }
}

function list(value: Json | undefined): readonly Json[] {
  return isArray(value) ? value : [];
}

function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function strings(value: Json | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(object(value)).map(([key, item]) => [key, String(item)]));
}
