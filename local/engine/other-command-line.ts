import { BLOCK_TOKENS, CommandLineError, DEFAULT_KV_TOKENS, DEFAULTS, type EngineSettings } from './command-line.ts';

/** Which flags of an engine say what, by their names with hyphens. */
export interface OtherFlags {
  /** What the command begins with. */
  readonly program: readonly string[];
  /** Flag of the model; a positional argument when absent. */
  readonly model?: string;
  readonly port: number;
  /** Flag of the address, for engines that otherwise bind one that nobody reaches from outside. */
  readonly host?: string;
  readonly servedName?: string;
  readonly contextLength?: string;
  readonly maxNumSeqs?: string;
  /** Bound of those that wait. */
  readonly maxWaiting?: string;
  /** Bound of those that wait or run. */
  readonly maxInFlight?: { readonly flag: string; readonly fallback: number };
  readonly priority?: string;
  readonly cacheReport?: string;
  readonly apiKey?: string;
}

export interface OtherCommand {
  readonly settings: EngineSettings;
  /** All flags by name; switches have an empty value. */
  readonly flags: ReadonlyMap<string, string>;
  readonly apiKey: string | undefined;
}

/**
 * Reads the command of an engine other than vLLM, as far as it shows from outside. Flags that aren't known are let be:
 * there is no list of them here.
 * @throws CommandLineError for a command that such an engine wouldn't understand
 */
export function parseOtherCommand(
  command: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  names: OtherFlags,
): OtherCommand {
  const shell = readShell(command, environment);
  const { program } = names;
  if (program.some((word, i) => shell.command[i] !== word)) {
    throw new CommandLineError(`the command doesn't begin with ${program.join(' ')}`);
  }
  const { positional, flags } = read([...shell.command.slice(program.length), ...shell.added]);
  const model = names.model === undefined ? positional[0] : flags.get(names.model);
  if (model === undefined && program.length > 0) throw new CommandLineError('the command names no model');
  const number = (flag: string | undefined): number | undefined => {
    const text = flag === undefined ? undefined : flags.get(flag);
    if (text === undefined) return undefined;
    if (!/^\d+$/.test(text)) throw new CommandLineError(`argument --${flag}: invalid value: '${text}'`);
    return Number(text);
  };
  const maxModelLen = number(names.contextLength) ?? DEFAULTS.maxModelLen;
  const host = names.host === undefined ? '0.0.0.0' : flags.get(names.host);
  return {
    flags,
    apiKey: names.apiKey === undefined ? undefined : flags.get(names.apiKey),
    settings: {
      model: model ?? 'model',
      servedNames: [(names.servedName === undefined ? undefined : flags.get(names.servedName)) ?? model ?? 'model'],
      port: number('port') ?? names.port,
      reachable: host === '0.0.0.0' || host === '::',
      maxModelLen,
      maxNumSeqs: number(names.maxNumSeqs) ?? DEFAULTS.maxNumSeqs,
      maxNumBatchedTokens: DEFAULTS.maxNumBatchedTokens,
      maxQueuedRequests: names.maxInFlight && (number(names.maxInFlight.flag) ?? names.maxInFlight.fallback),
      maxQueuedTokens: undefined,
      maxWaitingRequests: number(names.maxWaiting),
      kvBlocks: Math.ceil(Math.max(DEFAULT_KV_TOKENS, maxModelLen * 2) / BLOCK_TOKENS),
      prefixCaching: true,
      priorityScheduling: names.priority !== undefined && flags.has(names.priority),
      autoToolChoice: true,
      promptTokensDetails: names.cacheReport !== undefined && flags.has(names.cacheReport),
      forceIncludeUsage: false,
      requestIdHeaders: false,
      shutdownTimeoutSeconds: 0,
      apiKey: undefined,
    },
  };
}

/**
 * `/bin/sh -c 'exec "$@" --flag "$VARIABLE"' name command…`: flags whose values are in the environment. That their
 * output passes a filter first doesn't show here.
 */
function readShell(
  command: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): { readonly command: readonly string[]; readonly added: readonly string[] } {
  const [shell = '', option, script = '', , ...rest] = command;
  if (!/(^|\/)(ba)?sh$/.test(shell) || option !== '-c') return { command, added: [] };
  const [, extra] = /^(?:exec > >\(.*?\) 2>&1; )?exec "\$@"(.*)$/.exec(script) ?? [];
  if (extra === undefined) throw new CommandLineError(`the local run can't run the script ${script}`);
  const words = extra.match(/"[^"]*"|\S+/g) ?? [];
  const added = words.map((word) => {
    const [, variable] = /^"\$(\w+)"$/.exec(word) ?? [];
    return variable === undefined ? word : (environment[variable] ?? '');
  });
  return { command: rest, added };
}

function read(args: readonly string[]): { positional: string[]; flags: Map<string, string> } {
  const positional: string[] = [];
  const flags = new Map<string, string>();
  for (let i = 0; i < args.length; i += 1) {
    const arg = args[i] ?? '';
    if (!arg.startsWith('--')) {
      positional.push(arg);
      continue;
    }
    const [, written = '', value] = /^--([^=]+)(?:=(.*))?$/.exec(arg) ?? [];
    const name = written.replaceAll('_', '-');
    const next = args[i + 1];
    if (value !== undefined) flags.set(name, value);
    else if (next === undefined || next.startsWith('--')) flags.set(name, '');
    else {
      i += 1;
      flags.set(name, next);
    }
  }
  return { positional, flags };
}
