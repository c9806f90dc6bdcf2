import { flagOf, LISTS } from './flags.ts';

/** What an engine's command line says, as far as it shows from outside. */
export interface EngineSettings {
  readonly model: string;
  /** Names that requests may use; answers carry the first. */
  readonly servedNames: readonly string[];
  readonly port: number;
  /** Whether it listens on an address that others than the container itself reach. */
  readonly reachable: boolean;
  readonly maxModelLen: number;
  /** Sequences in one step. */
  readonly maxNumSeqs: number;
  /** Tokens in one step. */
  readonly maxNumBatchedTokens: number;
  /** Requests that wait or run; more are refused. `undefined`: no bound. */
  readonly maxQueuedRequests: number | undefined;
  /** Prompt tokens of requests that wait for their first token; more are refused. `undefined`: no bound. */
  readonly maxQueuedTokens: number | undefined;
  /** Requests that wait; more are refused. `undefined`: no bound of their own. */
  readonly maxWaitingRequests: number | undefined;
  /** Blocks of the KV cache, `BLOCK_TOKENS` each. */
  readonly kvBlocks: number;
  readonly prefixCaching: boolean;
  readonly priorityScheduling: boolean;
  readonly autoToolChoice: boolean;
  readonly promptTokensDetails: boolean;
  readonly forceIncludeUsage: boolean;
  readonly requestIdHeaders: boolean;
  readonly shutdownTimeoutSeconds: number;
  /** Of `--api-key`; the environment's `VLLM_API_KEY` when there is none. */
  readonly apiKey: string | undefined;
}

/** As argparse has it: the engine ends with status 2. */
export class CommandLineError extends Error {
  override readonly name = 'CommandLineError';
}

export const BLOCK_TOKENS = 16;

/** vLLM's defaults for an online server on a GPU of 80 GB or less. */
export const DEFAULTS = { port: 8000, maxModelLen: 32_768, maxNumSeqs: 256, maxNumBatchedTokens: 2_048 };
/** KV cache of an 8B model on a 24 GB GPU, some 29k tokens; a longest context is always given room for two. */
export const DEFAULT_KV_TOKENS = 29_000;
/** `--kv-cache-dtype fp8` halves a token's bytes. */
const FP8_FACTOR = 2;

/**
 * Reads the command of a vLLM container: what follows `vllm serve`, the image's entry point.
 * @throws CommandLineError for what vLLM would refuse
 */
export function parseCommandLine(command: readonly string[]): EngineSettings {
  const { positional, flags } = read(stripProgram(command));
  const [model = flags.get('model')?.at(-1), ...rest] = positional;
  if (model === undefined) throw new CommandLineError('the following arguments are required: model_tag');
  if (rest.length > 0) throw unrecognized(rest);
  const number = (name: string): number | undefined => numberOf(name, flags.get(name)?.at(-1));
  const on = (name: string): boolean => flags.has(name) && !flags.has(`no-${name}`);
  const policy = choice(flags, 'scheduling-policy', ['fcfs', 'priority']);
  const maxModelLen = number('max-model-len') ?? DEFAULTS.maxModelLen;
  const utilization = number('gpu-memory-utilization') ?? 0.92;
  if (utilization <= 0 || utilization > 1) {
    throw new CommandLineError(`GPU memory utilization must be in (0, 1], not ${utilization}`);
  }
  for (const name of JSON_FLAGS) checkJson(name, flags.get(name)?.at(-1));
  if (on('enable-auto-tool-choice') && !flags.has('tool-call-parser')) {
    throw new CommandLineError('Error: --enable-auto-tool-choice requires --tool-call-parser');
  }
  const kvTokens =
    Math.max(DEFAULT_KV_TOKENS, maxModelLen * 2) *
    (flags.get('kv-cache-dtype')?.at(-1)?.startsWith('fp8') === true ? FP8_FACTOR : 1);
  return {
    model,
    servedNames: flags.get('served-model-name') ?? [model],
    port: number('port') ?? DEFAULTS.port,
    reachable: true,
    maxModelLen,
    maxNumSeqs: number('max-num-seqs') ?? DEFAULTS.maxNumSeqs,
    maxNumBatchedTokens: number('max-num-batched-tokens') ?? DEFAULTS.maxNumBatchedTokens,
    maxQueuedRequests: number('max-num-queued-reqs'),
    maxQueuedTokens: number('max-num-queued-tokens'),
    maxWaitingRequests: undefined,
    kvBlocks: number('num-gpu-blocks-override') ?? Math.ceil(kvTokens / BLOCK_TOKENS),
    prefixCaching: !flags.has('no-enable-prefix-caching'),
    priorityScheduling: policy === 'priority',
    autoToolChoice: on('enable-auto-tool-choice'),
    promptTokensDetails: on('enable-prompt-tokens-details'),
    forceIncludeUsage: on('enable-force-include-usage'),
    requestIdHeaders: on('enable-request-id-headers'),
    shutdownTimeoutSeconds: number('shutdown-timeout') ?? 0,
    apiKey: flags.get('api-key')?.at(-1),
  };
}

const JSON_FLAGS = [
  ...['speculative-config', 'kv-transfer-config', 'override-generation-config', 'hf-overrides'],
  ...['model-loader-extra-config', 'kv-events-config', 'structured-outputs-config', 'limit-mm-per-prompt'],
];

/** An entry point of the template's own may repeat the image's. */
function stripProgram(command: readonly string[]): readonly string[] {
  const [first = '', second = '', third = ''] = command;
  if (/(^|\/)vllm$/.test(first) && second === 'serve') return command.slice(2);
  if (first === 'serve') return command.slice(1);
  if (/(^|\/)python3?$/.test(first) && second === '-m' && third === 'vllm.entrypoints.openai.api_server') {
    return command.slice(3);
  }
  return command;
}

function read(args: readonly string[]): { positional: string[]; flags: Map<string, string[]> } {
  const positional: string[] = [];
  const flags = new Map<string, string[]>();
  const unknown: string[] = [];
  for (let i = 0; i < args.length; i += 1) {
    const arg = args[i] ?? '';
    if (!arg.startsWith('-')) {
      positional.push(arg);
      continue;
    }
    const equals = arg.indexOf('=');
    const written = equals > 0 ? arg.slice(0, equals) : arg;
    // `--compilation-config.level 3` sets one key of a JSON option.
    const dot = written.indexOf('.');
    const flag = flagOf(dot > 0 ? written.slice(0, dot) : written);
    if (flag === undefined) {
      unknown.push(arg);
      continue;
    }
    const name = dot > 0 ? written.slice(2) : flag.name;
    const values = flags.get(name) ?? [];
    flags.set(name, values);
    if (flag.kind === 'switch') {
      if (equals > 0)
        throw new CommandLineError(`argument ${written}: ignored explicit argument '${arg.slice(equals + 1)}'`);
    } else if (equals > 0) {
      values.push(arg.slice(equals + 1));
    } else {
      const most = LISTS.has(flag.name) ? Number.POSITIVE_INFINITY : 1;
      const before = values.length;
      while (values.length - before < most && args[i + 1] !== undefined && !isFlag(args[i + 1])) {
        i += 1;
        values.push(args[i] ?? '');
      }
      if (values.length === before) throw new CommandLineError(`argument ${written}: expected one argument`);
    }
  }
  if (unknown.length > 0) throw unrecognized(unknown);
  return { positional, flags };
}

/** A negative number is a value. */
function isFlag(arg: string | undefined): boolean {
  return arg?.startsWith('-') === true && !/^-\d/.test(arg);
}

function unrecognized(args: readonly string[]): CommandLineError {
  return new CommandLineError(`unrecognized arguments: ${args.join(' ')}`);
}

const FACTORS: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

/** vLLM takes `32k` (32,000) and `32K` (32,768). */
function numberOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, digits = '', unit = ''] = /^(-?\d+(?:\.\d+)?)([kmgKMG]?)$/.exec(text) ?? [];
  if (digits === '') throw new CommandLineError(`argument --${name}: invalid value: '${text}'`);
  return Number(digits) * (FACTORS[unit] ?? 1);
}

function choice(
  flags: ReadonlyMap<string, readonly string[]>,
  name: string,
  choices: readonly string[],
): string | undefined {
  const value = flags.get(name)?.at(-1);
  if (value === undefined || choices.includes(value)) return value;
  throw new CommandLineError(`argument --${name}: invalid choice: '${value}' (choose from ${choices.join(', ')})`);
}

function checkJson(name: string, text: string | undefined): void {
  if (text === undefined) return;
  try {
    JSON.parse(text);
  } catch {
    throw new CommandLineError(`argument --${name}: Value ${text} cannot be converted to <function loads>`);
  }
}
