import { describe, expect, test } from 'vitest';
import { type CommandEntry, parse, UsageError } from '../../../bin/llm/command.ts';
import { main } from '../../../bin/llm/main.ts';

let loaded: string[] = [];

function entry(name: string, run: (args: readonly string[]) => void): CommandEntry {
  return {
    summary: `does ${name}`,
    load: async () => {
      loaded.push(name);
      return { usage: `usage: llm-serving ${name} [--top N]`, run: async (args) => run(args) };
    },
  };
}

async function llm(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  loaded = [];
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const commands = {
    usage: entry('usage', (given) => void parse(given, { top: { type: 'string' } })),
    keys: entry('keys', () => {
      throw new Error('no such table');
    }),
    tco: entry('tco', () => {
      throw new UsageError('--hours -3 is no number of hours');
    }),
  };
  return { status: await main(args, io, commands), out: out.join(''), err: err.join('') };
}

describe('the command line', () => {
  test('runs the command that is named, and loads no other', async () => {
    expect(await llm('usage', '--top', '3')).toEqual({ status: 0, out: '', err: '' });
    expect(loaded).toEqual(['usage']);
  });

  test.each(['help', '--help', '-h'])('lists the commands for %s', async (asked) => {
    const { status, out } = await llm(asked);
    expect(status).toBe(0);
    expect(out).toMatch(/^usage: llm-serving COMMAND/);
    expect(out).toContain('  usage  does usage\n  keys   does keys\n  tco    does tco\n');
    expect(loaded).toEqual([]);
  });

  test("shows a command's own help without running it", async () => {
    expect(await llm('keys', '--help')).toEqual({ status: 0, out: 'usage: llm-serving keys [--top N]\n', err: '' });
  });

  test('without a command says so on the error output', async () => {
    const { status, out, err } = await llm();
    expect([status, out]).toEqual([2, '']);
    expect(err).toMatch(/^usage: /);
  });

  test.each(['bill', 'toString', '__proto__'])('knows no command %s', async (name) => {
    const { status, err } = await llm(name);
    expect(status).toBe(2);
    expect(err).toMatch(`error: no command named ${name}\n`);
  });

  test.each([
    [['usage', '--topp', '3'], /^error: Unknown option '--topp'/],
    [['tco'], /^error: --hours -3 is no number of hours\n\nusage: llm-serving tco/],
  ])('answers wrong arguments %j with the usage and 2', async (args, message) => {
    const { status, err } = await llm(...args);
    expect(status).toBe(2);
    expect(err).toMatch(message);
    expect(err).toContain('usage: llm-serving');
  });

  test('answers a failure with its message alone and 1', async () => {
    expect(await llm('keys')).toEqual({ status: 1, out: '', err: 'error: no such table\n' });
  });
});
