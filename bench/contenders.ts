import { cpSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CacheConfig, FallbackConfig, ServingConfig } from '../lib/private/serving-config.ts';
import { type LocalFunction, startFunction } from '../local/lambda/local-function.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

export interface Contender {
  readonly name: string;
  readonly codeDir: string;
  readonly environment: Readonly<Record<string, string>>;
}

export function bare(upstream: string): Contender {
  return { name: 'bare', codeDir: join(ROOT, 'bench/bare'), environment: { UPSTREAM: upstream } };
}

/** The bundle that is deployed, configured with one OpenAI-compatible backend. */
export function ours(upstream: string, fallback?: FallbackConfig, cache?: CacheConfig): Contender {
  const codeDir = mkdtempSync(join(tmpdir(), 'bench-handler-'));
  cpSync(join(ROOT, 'assets/handlers/api'), codeDir, { recursive: true });
  const config: ServingConfig = {
    version: 1,
    models: [
      {
        name: 'bench',
        aliases: [],
        ownedBy: 'bench',
        created: 0,
        ...(fallback && { fallback }),
        backends: [
          {
            kind: 'openai-compatible',
            id: 'upstream',
            baseUrl: { env: 'UPSTREAM' },
            auth: { type: 'none' },
            headers: {},
            unsupportedParameters: [],
            maxTokensParameter: 'max_tokens',
            streamUsage: true,
            price: { input: 1, output: 2, cachedInput: 0.5, cacheWrite: 1 },
            deadlines: { connectMs: 3_000, firstTokenMs: 30_000, betweenTokensMs: 30_000 },
          },
        ],
      },
    ],
    tiers: [{ name: 'standard' }],
    features: [],
    limits: {
      maxRequestBytes: 5_000_000,
      totalTimeoutMs: 870_000,
      wholeAnswerTimeoutMs: 290_000,
      headersWaitMs: 20_000,
      keepAliveMs: 15_000,
    },
    metrics: { namespace: 'LlmServing' },
    logContent: false,
    ...(cache && { cache }),
  };
  writeFileSync(join(codeDir, 'serving-config.json'), JSON.stringify(config));
  return { name: 'ours', codeDir, environment: { UPSTREAM: upstream } };
}

export function start(contender: Contender, options: { concurrency?: number } = {}): LocalFunction {
  return startFunction({
    name: contender.name,
    codeDir: contender.codeDir,
    handler: 'index.handler',
    environment: contender.environment,
    memoryMb: 512,
    timeoutMs: 60_000,
    log: () => {},
    ...options,
  });
}

/** Bytes of what a cold start must load, and of the whole asset with what is loaded later. */
export function bundleBytes(contender: Contender): { entry: number; total: number } {
  const sizes = readdirSync(contender.codeDir)
    .filter((name) => name.endsWith('.mjs'))
    .map((name) => ({ name, bytes: statSync(join(contender.codeDir, name)).size }));
  return {
    entry: sizes.find((file) => file.name === 'index.mjs')?.bytes ?? 0,
    total: sizes.reduce((sum, file) => sum + file.bytes, 0),
  };
}
