import { type CommandEntry, type Io, UsageError } from './command.ts';
import { COMMANDS } from './commands.ts';

/** Runs the command that the first argument names. @returns the exit status: 0, 1 for a failure, 2 for a wrong use */
export async function main(
  args: readonly string[],
  io: Io,
  commands: Readonly<Record<string, CommandEntry>> = COMMANDS,
): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    // Asked for it is a result, else a complaint.
    (name === undefined ? io.err : io.out)(overview(commands));
    return name === undefined ? 2 : 0;
  }
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined) {
    io.err(`error: no command named ${name}\n\n${overview(commands)}`);
    return 2;
  }
  const command = await entry.load();
  if (rest.includes('--help') || rest.includes('-h')) {
    io.out(`${command.usage}\n`);
    return 0;
  }
  try {
    await command.run(rest, io);
    return 0;
  } catch (error) {
    io.err(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    if (!(error instanceof UsageError)) return 1;
    io.err(`\n${command.usage}\n`);
    return 2;
  }
}

function overview(commands: Readonly<Record<string, CommandEntry>>): string {
  const width = Math.max(0, ...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return ['usage: llm-serving COMMAND [options]', '', ...lines, '', 'COMMAND --help tells more.', ''].join('\n');
}
