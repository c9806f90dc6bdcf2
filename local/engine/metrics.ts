/** Prometheus text, with the names and labels that vLLM has. */

type Kind = 'gauge' | 'counter' | 'histogram';

interface Metric {
  readonly help: string;
  readonly kind: Kind;
}

/** vLLM's buckets, in seconds. */
const FIRST_TOKEN_BUCKETS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
const INTER_TOKEN_BUCKETS = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
const REQUEST_BUCKETS = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];

const METRICS = {
  'vllm:num_requests_running': { kind: 'gauge', help: 'Number of requests in model execution batches.' },
  'vllm:num_requests_waiting': { kind: 'gauge', help: 'Number of requests waiting to be processed.' },
  'vllm:kv_cache_usage_perc': { kind: 'gauge', help: 'KV-cache usage. 1 means 100 percent usage.' },
  'vllm:num_preemptions_total': { kind: 'counter', help: 'Cumulative number of preemption from the engine.' },
  'vllm:prefix_cache_queries_total': { kind: 'counter', help: 'Prefix cache queries, in terms of number of tokens.' },
  'vllm:prefix_cache_hits_total': { kind: 'counter', help: 'Prefix cache hits, in terms of number of tokens.' },
  'vllm:prompt_tokens_total': { kind: 'counter', help: 'Number of prefill tokens processed.' },
  'vllm:generation_tokens_total': { kind: 'counter', help: 'Number of generation tokens processed.' },
  'vllm:time_to_first_token_seconds': { kind: 'histogram', help: 'Histogram of time to first token in seconds.' },
  'vllm:inter_token_latency_seconds': { kind: 'histogram', help: 'Histogram of inter-token latency in seconds.' },
  'vllm:e2e_request_latency_seconds': { kind: 'histogram', help: 'Histogram of e2e request latency in seconds.' },
  'vllm:request_queue_time_seconds': { kind: 'histogram', help: 'Histogram of time spent in WAITING phase.' },
} as const satisfies Record<string, Metric>;

type Named<K extends Kind> = {
  [N in keyof typeof METRICS]: (typeof METRICS)[N]['kind'] extends K ? N : never;
}[keyof typeof METRICS];

export type Gauge = Named<'gauge'>;
export type Counter = Named<'counter'>;
export type HistogramName = Named<'histogram'>;

const BUCKETS: Readonly<Record<HistogramName, readonly number[]>> = {
  'vllm:time_to_first_token_seconds': FIRST_TOKEN_BUCKETS,
  'vllm:inter_token_latency_seconds': INTER_TOKEN_BUCKETS,
  'vllm:e2e_request_latency_seconds': REQUEST_BUCKETS,
  'vllm:request_queue_time_seconds': REQUEST_BUCKETS,
};

export class EngineMetrics {
  readonly #labels: string;
  readonly #names: Readonly<Record<string, string>> | undefined;
  readonly #counters = new Map<Counter, number>();
  readonly #histograms = new Map<HistogramName, { counts: number[]; sum: number; count: number }>();

  /** @param names another engine's names by vLLM's; what isn't among them isn't served */
  constructor(modelName: string, names?: Readonly<Record<string, string>>) {
    this.#names = names;
    this.#labels = `engine="0",model_name="${modelName.replaceAll(/[\\"]/g, '\\$&')}"`;
  }

  add(name: Counter, amount: number): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + amount);
  }

  observe(name: HistogramName, seconds: number): void {
    const buckets = BUCKETS[name];
    const histogram = this.#histograms.get(name) ?? { counts: buckets.map(() => 0), sum: 0, count: 0 };
    this.#histograms.set(name, histogram);
    histogram.sum += seconds;
    histogram.count += 1;
    buckets.forEach((bound, i) => {
      if (seconds <= bound) histogram.counts[i] = (histogram.counts[i] ?? 0) + 1;
    });
  }

  text(gauges: Readonly<Record<Gauge, number>>): string {
    const lines: string[] = [];
    for (const [own, { kind, help }] of Object.entries(METRICS)) {
      const name = this.#names === undefined ? own : this.#names[own];
      if (name === undefined) continue;
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
      if (kind === 'gauge') lines.push(`${name}{${this.#labels}} ${gauges[own as Gauge]}`);
      if (kind === 'counter') lines.push(`${name}{${this.#labels}} ${this.#counters.get(own as Counter) ?? 0}`);
      if (kind === 'histogram') lines.push(...this.#histogram(own as HistogramName, name));
    }
    return `${lines.join('\n')}\n`;
  }

  #histogram(own: HistogramName, name: string): string[] {
    const { counts = [], sum = 0, count = 0 } = this.#histograms.get(own) ?? {};
    return [
      ...BUCKETS[own].map((bound, i) => `${name}_bucket{${this.#labels},le="${bound}"} ${counts[i] ?? 0}`),
      `${name}_bucket{${this.#labels},le="+Inf"} ${count}`,
      `${name}_sum{${this.#labels}} ${sum}`,
      `${name}_count{${this.#labels}} ${count}`,
    ];
  }
}
