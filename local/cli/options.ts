import { parseArgs } from 'node:util';
import type { ComputeOverride } from '../lambda/from-stack.ts';

export interface CliOptions {
  readonly port: number;
  readonly upstream: string | undefined;
  readonly upstreamModel: string | undefined;
  readonly gguf: string | undefined;
  readonly app: string | undefined;
  readonly assembly: string | undefined;
  /** `key=value`, as the CDK CLI takes them. */
  readonly context: readonly string[];
  readonly compute: ComputeOverride | undefined;
  /** Processes of functions at once. */
  readonly concurrency: number;
  /** Seconds that pass for fleets in a real one. */
  readonly speed: number;
  readonly realAws: boolean;
  /** Folder for what a run keeps. */
  readonly state: string | undefined;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly help: boolean;
}

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const USAGE = `usage: npm start -- [options]

  --port N                port of the API on 127.0.0.1 (default 4000; 0: any free one)
  --upstream URL          an OpenAI-compatible server (vLLM, Ollama, llama.cpp) answers in place of the simulated
                          model, for Bedrock and in fleets; its key, if it has one, from the environment variable UPSTREAM_API_KEY
  --upstream-model NAME   the upstream's model (default: the first that it lists)
  --gguf FILE             llama.cpp answers, with the model of this file
  -c, --context KEY=VALUE context of the CDK app; may be repeated
  --app COMMAND           another CDK app than cdk.json's
  --assembly FOLDER       what cdk synth wrote already; nothing is built or synthesized
  --compute KIND          how each function runs, whatever the template says: lambda (one request at a time in a
                          process), or managed-instances[:N] (N at once, default 64)
  --concurrency N         processes of functions at once; beyond them requests are throttled (default 100)
  --speed N               seconds that pass for fleets in a real one: start-up, alarms, cooldowns, schedules, health
                          check intervals (default 10). Answers, draining and time-outs take real time
  --aws                   functions get this shell's AWS credentials and reach the real services; that costs money
  --state FOLDER          where keys, secrets.json and endpoint.json are (default .local)
  --quiet                 the functions' logs are not shown
  --verbose               the API's access log, metrics and stack traces are shown, too
  --help                  this text`;

/** @throws UsageError */
export function parseOptions(args: readonly string[]): CliOptions {
  const values = parse(args);
  if (values.upstream !== undefined && values.gguf !== undefined) {
    throw new UsageError('--upstream and --gguf are both given: choose one model');
  }
  if (values.assembly !== undefined && (values.app !== undefined || values.context !== undefined)) {
    throw new UsageError('--assembly is synthesized already: --app and --context have no effect on it');
  }
  if (values.upstream !== undefined && !/^https?:\/\/./.test(values.upstream)) {
    throw new UsageError(`--upstream ${values.upstream} is no http or https URL`);
  }
  for (const pair of values.context ?? []) {
    if (!/^[^=]+=/.test(pair)) throw new UsageError(`--context ${pair} is not KEY=VALUE`);
  }
  return {
    port: port(values.port ?? '4000'),
    upstream: values.upstream,
    upstreamModel: values['upstream-model'],
    gguf: values.gguf,
    app: values.app,
    assembly: values.assembly,
    context: values.context ?? [],
    compute: values.compute === undefined ? undefined : compute(values.compute),
    concurrency: concurrency(values.concurrency ?? '100'),
    speed: speed(values.speed ?? '10'),
    realAws: values.aws ?? false,
    state: values.state,
    quiet: values.quiet ?? false,
    verbose: values.verbose ?? false,
    help: values.help ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: false,
      options: {
        port: { type: 'string' },
        upstream: { type: 'string' },
        'upstream-model': { type: 'string' },
        gguf: { type: 'string' },
        app: { type: 'string' },
        assembly: { type: 'string' },
        context: { type: 'string', short: 'c', multiple: true },
        compute: { type: 'string' },
        concurrency: { type: 'string' },
        speed: { type: 'string' },
        aws: { type: 'boolean' },
        state: { type: 'string' },
        quiet: { type: 'boolean' },
        verbose: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function port(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 0 || value > 65_535) {
    throw new UsageError(`--port ${text} is no port: 0 to 65535`);
  }
  return value;
}

function concurrency(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new UsageError(`--concurrency ${text} is no number of processes`);
  return Number(text);
}

/** Beyond some hundreds, processes start more slowly than fleets expect them to. */
const MAX_SPEED = 1_000;

function speed(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0) || value > MAX_SPEED) {
    throw new UsageError(`--speed ${text} is no factor: more than 0, at most ${MAX_SPEED}`);
  }
  return value;
}

function compute(text: string): ComputeOverride {
  if (text === 'lambda') return { kind: 'lambda' };
  const [, count] = /^managed-instances(?::([1-9]\d{0,3}))?$/.exec(text) ?? [undefined, 'no'];
  if (count === 'no') throw new UsageError(`--compute ${text} is neither lambda nor managed-instances[:N]`);
  return { kind: 'managed-instances', concurrency: Number(count ?? 64) };
}
