/**
 * The options of `vllm serve` that a server of one model on one machine may have. An option that isn't here ends the
 * engine at its start, as a misspelled one does with vLLM.
 *
 * @see https://docs.vllm.ai/en/stable/cli/serve/
 */

/** Take a value: `--port 8000` or `--port=8000`. */
const VALUES = [
  ...['host', 'port', 'uvicorn-log-level', 'api-key', 'root-path', 'chat-template', 'chat-template-content-format'],
  ...['response-role', 'tool-call-parser', 'tool-parser-plugin', 'reasoning-parser', 'log-config-file', 'max-log-len'],
  ...['allowed-origins', 'allowed-methods', 'allowed-headers', 'ssl-keyfile', 'ssl-certfile', 'ssl-ca-certs'],
  ...['middleware', 'h11-max-incomplete-event-size', 'h11-max-header-count', 'shutdown-timeout', 'api-server-count'],
  ...['model', 'tokenizer', 'tokenizer-mode', 'dtype', 'seed', 'hf-config-path', 'allowed-local-media-path'],
  ...['allowed-media-domains', 'revision', 'code-revision', 'tokenizer-revision', 'max-model-len', 'quantization'],
  ...['max-logprobs', 'logprobs-mode', 'runner', 'convert', 'config-format', 'hf-token', 'hf-overrides'],
  ...['generation-config', 'override-generation-config', 'model-impl', 'load-format', 'download-dir', 'config'],
  ...['model-loader-extra-config', 'ignore-patterns', 'pt-load-map-location', 'safetensors-load-strategy'],
  ...['pipeline-parallel-size', 'tensor-parallel-size', 'data-parallel-size', 'decode-context-parallel-size'],
  ...['distributed-executor-backend', 'max-parallel-loading-workers', 'worker-cls', 'all2all-backend'],
  ...['block-size', 'gpu-memory-utilization', 'kv-cache-memory-bytes', 'swap-space', 'kv-cache-dtype'],
  ...['num-gpu-blocks-override', 'prefix-caching-hash-algo', 'cpu-offload-gb', 'kv-offloading-size'],
  ...['kv-offloading-backend', 'kv-transfer-config', 'kv-events-config', 'limit-mm-per-prompt', 'mm-processor-kwargs'],
  ...['mm-processor-cache-gb', 'mm-encoder-tp-mode', 'lora-modules', 'max-loras', 'max-lora-rank', 'max-cpu-loras'],
  ...['max-num-batched-tokens', 'max-num-seqs', 'max-num-partial-prefills', 'max-long-partial-prefills'],
  ...['long-prefill-token-threshold', 'max-num-queued-reqs', 'max-num-queued-tokens', 'scheduling-policy'],
  ...['stream-interval', 'speculative-config', 'compilation-config', 'attention-backend', 'structured-outputs-config'],
  ...[
    'otlp-traces-endpoint',
    'collect-detailed-traces',
    'additional-config',
    'served-model-name',
    'optimization-level',
  ],
] as const;

/** Are there or not: `--enable-x`. */
const SWITCHES = [
  ...['disable-uvicorn-access-log', 'allow-credentials', 'return-tokens-as-token-ids', 'disable-fastapi-docs'],
  ...['enable-request-id-headers', 'enable-auto-tool-choice', 'enable-prompt-tokens-details', 'enable-log-outputs'],
  ...['enable-server-load-tracking', 'enable-force-include-usage', 'exclude-tools-when-tool-choice-none', 'headless'],
  ...['enable-log-requests', 'disable-log-stats', 'enable-ssl-refresh', 'enable-tokenizer-info-endpoint'],
  ...['log-error-stack', 'trust-request-chat-template', 'fail-on-environ-validation'],
] as const;

/** Switches that have a `--no-…`, too. */
const TOGGLES = [
  ...['enable-prefix-caching', 'enable-chunked-prefill', 'enforce-eager', 'trust-remote-code', 'skip-tokenizer-init'],
  ...['enable-prompt-embeds', 'enable-lora', 'enable-expert-parallel', 'enable-sleep-mode', 'use-tqdm-on-load'],
  ...['disable-custom-all-reduce', 'disable-sliding-window', 'disable-cascade-attn', 'async-scheduling'],
  ...['language-model-only', 'calculate-kv-scales', 'kv-sharing-fast-prefill', 'disable-hybrid-kv-cache-manager'],
  ...['fully-sharded-loras', 'enable-eplb', 'enable-dbo', 'skip-mm-profiling', 'interleave-mm-strings'],
] as const;

export type FlagKind = 'value' | 'switch';

const ALIASES: Readonly<Record<string, string>> = {
  '-tp': 'tensor-parallel-size',
  '-pp': 'pipeline-parallel-size',
  '-dp': 'data-parallel-size',
  '-q': 'quantization',
  '-sc': 'speculative-config',
  '-cc': 'compilation-config',
  '-O': 'optimization-level',
};

const KINDS = new Map<string, FlagKind>([
  ...VALUES.map((name) => [name, 'value'] as const),
  ...[...SWITCHES, ...TOGGLES, ...TOGGLES.map((name) => `no-${name}`)].map((name) => [name, 'switch'] as const),
]);

/** Name and kind of an option as it is written; `undefined` when vLLM has none such. */
export function flagOf(written: string): { readonly name: string; readonly kind: FlagKind } | undefined {
  // vLLM takes underscores for hyphens.
  const name = ALIASES[written] ?? (written.startsWith('--') ? written.slice(2).replaceAll('_', '-') : '');
  const kind = KINDS.get(name);
  return kind === undefined ? undefined : { name, kind };
}

/** Take as many values as follow. */
export const LISTS: ReadonlySet<string> = new Set(['served-model-name', 'lora-modules', 'middleware']);
