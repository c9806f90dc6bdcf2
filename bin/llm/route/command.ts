import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createRegistry } from '../../../lambda/backends/registry.ts';
import { type Command, type Io, parse, UsageError } from '../command.ts';
import { readServingConfig } from './assembly.ts';
import { RouteReport } from './report.ts';
import { readRequestLine } from './request-line.ts';
import { score } from './score.ts';

/** More complaints than this help nobody. */
const SHOWN_PROBLEMS = 5;
/** Of many chat applications, about; the file's own figures are better. */
const OUTPUT_TOKENS = 300;

const usage = `usage: llm-serving route score FILE [--config PATH] [--output-tokens N] [--json]

Routes each request of a JSONL file as the deployment's routing policies would, and tells the share that goes to the
cheap backends first and what that saves, at the prices of the deployment. Nothing is sent anywhere.

  FILE              one request a line: the body as clients send it, or {"body": {…}} as in OpenAI's batch files, with
                    "custom_id", "tier", "consumer", "feature", "priority" and "usage" where they are known; - is stdin
  --config PATH     serving-config.json, or what \`cdk synth\` wrote (default: cdk.out)
  --output-tokens N taken for answers whose length the file doesn't tell (default: ${OUTPUT_TOKENS})
  --json            the decision for each request, one JSON object a line, instead of the table`;

export const routeCommand: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parse(
      args,
      { config: { type: 'string' }, 'output-tokens': { type: 'string' }, json: { type: 'boolean' } },
      true,
    );
    const [action, file, ...rest] = positionals;
    if (action !== 'score' || file === undefined || rest.length > 0) throw new UsageError('expected: route score FILE');
    const outputTokens = Number(values['output-tokens'] ?? OUTPUT_TOKENS);
    if (!Number.isInteger(outputTokens) || outputTokens < 0) {
      throw new UsageError(`--output-tokens must be a whole number, got ${values['output-tokens']}`);
    }
    const options = { config: readServingConfig(values.config ?? 'cdk.out'), registry: createRegistry(), outputTokens };
    const report = new RouteReport();
    const problems: string[] = [];
    let number = 0;
    let scored = 0;
    for await (const line of linesOf(file)) {
      number += 1;
      if (line.trim() === '') continue;
      try {
        const recorded = readRequestLine(line);
        const result = await score(recorded, options);
        report.add(result);
        scored += 1;
        if (values.json) io.out(`${JSON.stringify({ line: number, custom_id: recorded.id, ...result })}\n`);
      } catch (error) {
        problems.push(`${file}:${number}: ${error instanceof Error ? error.message : error}`);
      }
    }
    if (!values.json) io.out(report.toString());
    tell(problems, io);
    if (scored === 0) throw new Error(`${file} has no request that could be scored`);
  },
};

function tell(problems: readonly string[], io: Io): void {
  if (problems.length === 0) return;
  for (const problem of problems.slice(0, SHOWN_PROBLEMS)) io.err(`${problem}\n`);
  io.err(`${problems.length} ${problems.length === 1 ? 'line was' : 'lines were'} left out\n`);
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  // What fails to open would else be an error that nobody hears.
  const failed = new Promise<never>((_, reject) => input.once('error', reject));
  failed.catch(() => undefined);
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  for (;;) {
    const { value, done } = await Promise.race([lines.next(), failed]);
    if (done) return;
    yield value;
  }
}
