import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';

/** Where a command writes: results to `out`, so that they can be piped, everything else to `err`. */
export interface Io {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** What a command's module has. */
export interface Command {
  /** The whole help of the command; begins with `usage: `. */
  readonly usage: string;
  /** @throws UsageError for arguments that make no sense, Error for everything else; its message is all that is shown */
  run(args: readonly string[], io: Io): Promise<void>;
}

/** A command before it is loaded: some bring an AWS client along, which the others shouldn't wait for. */
export interface CommandEntry {
  /** One line, for the list of commands. */
  readonly summary: string;
  load(): Promise<Command>;
}

/** The arguments make no sense: the command's usage is shown, and the exit status is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** `parseArgs` of node:util, strict, with its complaints as usage errors. */
export function parse<const O extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: O,
  allowPositionals = false,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
