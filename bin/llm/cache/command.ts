import { readFileSync } from 'node:fs';
import type { EmbeddingConfig } from '../../../lambda/contract/config.ts';
import { createEmbedder } from '../../../lambda/embeddings/create-embedder.ts';
import { cosine } from '../../../lambda/embeddings/vector.ts';
import { type Command, parse, UsageError } from '../command.ts';
import { type PromptPair, readPair } from './pairs.ts';
import { GUARDS, isLetThrough, recommended, type ScoredPair, tableOf } from './score.ts';

const THRESHOLDS = [0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98];
const DIMENSIONS = 1024;
const TIMEOUT_MS = 60_000;
/** Servers answer several at once; a provider's limit is met by none so few. */
const AT_ONCE = 4;

const usage = `usage: llm-serving cache score FILE (--url URL --model NAME | --bedrock MODEL) [options]

Measures how often a semantic cache would answer wrongly, and how often not at all, on pairs of prompts: for several
thresholds, with each kind of guards, and recommends a threshold. Each prompt is sent to the embedding once.

  FILE               one pair a line: {"a": "…", "b": "…", "same": true, "kind": "…"}; "same" says whether one answer
                     would do for both, "kind" is yours
  --url URL          base URL of a server with POST /embeddings, such as http://127.0.0.1:8080/v1
  --model NAME       the server's name of the model
  --api-key-env NAME environment variable with the server's API key
  --bedrock MODEL    an embedding on Bedrock, with the AWS credentials of the environment
  --region REGION    of Bedrock (default: the environment's)
  --dimensions N     of the vectors (default: ${DIMENSIONS}; for --url, what the server sends)
  --max-false P      false hits to put up with when a threshold is recommended, in percent of the pairs that don't mean
                     the same (default: 0)
  --show             each pair that would be answered wrongly at the recommended threshold, and each that is missed
  --json             each pair with its score and what each kind of guards says, one JSON object a line, instead`;

export const cacheCommand: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parse(
      args,
      {
        url: { type: 'string' },
        model: { type: 'string' },
        'api-key-env': { type: 'string' },
        bedrock: { type: 'string' },
        region: { type: 'string' },
        dimensions: { type: 'string' },
        'max-false': { type: 'string' },
        show: { type: 'boolean' },
        json: { type: 'boolean' },
      },
      true,
    );
    const [action, file, ...rest] = positionals;
    if (action !== 'score' || file === undefined || rest.length > 0) throw new UsageError('expected: cache score FILE');
    const maxFalse = Number(values['max-false'] ?? 0);
    if (!(maxFalse >= 0 && maxFalse <= 100))
      throw new UsageError(`--max-false must be 0–100, got ${values['max-false']}`);
    const pairs = readPairs(file);
    const embed = embedOf(values);
    const vectors = await embedAll([...new Set(pairs.flatMap(({ a, b }) => [a, b]))], embed);
    const scored = pairs.map((pair): ScoredPair => {
      const [a, b] = [vectors.get(pair.a), vectors.get(pair.b)];
      return { ...pair, score: a === undefined || b === undefined ? 0 : cosine(a, b) };
    });
    if (values.json) {
      for (const pair of scored) {
        const guards = Object.fromEntries(GUARDS.map((kind) => [kind, isLetThrough(pair, kind)]));
        io.out(`${JSON.stringify({ ...pair, score: rounded(pair.score), guards })}\n`);
      }
      return;
    }
    const same = scored.filter((pair) => pair.same).length;
    io.out(`${scored.length} pairs: ${same} mean the same, ${scored.length - same} do not\n\n`);
    io.out(tableOf(scored, THRESHOLDS));
    io.out('\n');
    for (const guards of GUARDS) {
      const row = recommended(scored, guards, maxFalse / 100);
      io.out(
        row === undefined
          ? `guards ${guards}: no threshold keeps false hits at ${maxFalse} %\n`
          : `guards ${guards}: threshold ${row.threshold.toFixed(2)} (recall ${(row.recall * 100).toFixed(1)} %, ${row.falseHits} false)\n`,
      );
      if (row === undefined || !values.show) continue;
      for (const pair of scored) {
        const isHit = pair.score >= row.threshold && isLetThrough(pair, guards);
        if (isHit === pair.same) continue;
        io.out(`  ${isHit ? 'false ' : 'missed'} ${pair.score.toFixed(3)} ${pair.kind}: ${pair.a} | ${pair.b}\n`);
      }
    }
  },
};

/** @throws Error that names the line */
function readPairs(file: string): PromptPair[] {
  const pairs = readFileSync(file === '-' ? 0 : file, 'utf8')
    .split('\n')
    .flatMap((line, index) => {
      if (line.trim() === '') return [];
      try {
        return readPair(line);
      } catch (error) {
        throw new Error(`${file}:${index + 1}: ${error instanceof Error ? error.message : error}`, { cause: error });
      }
    });
  if (pairs.length === 0) throw new Error(`${file} has no pair`);
  return pairs;
}

type Embed = (text: string) => Promise<Float32Array>;

function embedOf(values: Readonly<Record<string, string | boolean | undefined>>): Embed {
  const { url, model, bedrock, region } = values as Record<string, string | undefined>;
  if ((url === undefined) === (bedrock === undefined)) throw new UsageError('pass --url and --model, or --bedrock');
  if (url !== undefined) {
    if (model === undefined) throw new UsageError('--url needs --model');
    const name = values['api-key-env'] as string | undefined;
    const key = name === undefined ? undefined : process.env[name];
    if (name !== undefined && !key) throw new UsageError(`the environment has no ${name}`);
    return (text) => fromServer(url.replace(/\/+$/, ''), model, key, Number(values.dimensions) || undefined, text);
  }
  const modelId = bedrock ?? '';
  const format = modelId.startsWith('cohere.') ? 'cohere' : modelId.includes('text-v2') ? 'titan-2' : 'titan-1';
  const config: EmbeddingConfig = {
    ...{ kind: 'bedrock', id: 'bedrock', modelId, format, price: 0 },
    dimensions: Number(values.dimensions ?? (format === 'titan-1' ? 1536 : DIMENSIONS)),
    ...(region === undefined ? {} : { region }),
  };
  const embedder = createEmbedder(config);
  return async (text) => (await embedder.embed(text, AbortSignal.timeout(TIMEOUT_MS))).vector;
}

/** With the key out of the environment, where the data path has it from Secrets Manager. */
async function fromServer(
  url: string,
  model: string,
  key: string | undefined,
  dimensions: number | undefined,
  text: string,
): Promise<Float32Array> {
  const { toVector } = await import('../../../lambda/embeddings/vector.ts');
  const response = await fetch(`${url}/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
    body: JSON.stringify({ model, input: text, encoding_format: 'float', ...(dimensions && { dimensions }) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok)
    throw new Error(`${url}/embeddings answered ${response.status}: ${(await response.text()).slice(0, 300)}`);
  const body = (await response.json()) as { data?: ReadonlyArray<{ embedding?: number[] }> };
  const vector = body.data?.[0]?.embedding;
  return toVector(url, vector, dimensions ?? vector?.length ?? 0);
}

async function embedAll(texts: readonly string[], embed: Embed): Promise<ReadonlyMap<string, Float32Array>> {
  const vectors = new Map<string, Float32Array>();
  const waiting = [...texts];
  const work = async (): Promise<void> => {
    for (let text = waiting.shift(); text !== undefined; text = waiting.shift()) vectors.set(text, await embed(text));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return vectors;
}

const rounded = (score: number): number => Number(score.toFixed(4));
