import type {
  BackendConfig as BackendConfigWithRefs,
  CacheConfig as CacheConfigWithRefs,
  ConsumerConfig,
  EnvRef,
  ModelConfig as ModelConfigWithRefs,
  ServingConfig as ServingConfigWithRefs,
  TeamConfig,
  TierConfig,
} from '../../lib/private/serving-config.ts';

/** Repeated from `lib/private/serving-config.ts`, of which only types may be imported; a test holds them equal. */
export const SERVING_CONFIG_FILE = 'serving-config.json';
export const CONSUMERS_ENV = 'LLM_CONSUMERS';

/** The same shape with every `EnvRef` replaced by the variable's value. */
export type Resolved<T> = T extends EnvRef
  ? string
  : T extends string | number | boolean | undefined
    ? T
    : { [K in keyof T]: Resolved<T[K]> };

export type CacheConfig = Resolved<CacheConfigWithRefs>;
export type CachePolicyConfig = CacheConfig['policy'];
export type SemanticCacheConfig = NonNullable<CachePolicyConfig['semantic']>;
export type EmbeddingConfig = SemanticCacheConfig['embedding'];
export type BackendConfig = Resolved<BackendConfigWithRefs>;
export type BackendConfigOf<Kind extends BackendConfig['kind']> = Extract<BackendConfig, { kind: Kind }>;
export type ModelConfig = Omit<Resolved<ModelConfigWithRefs>, 'backends'> & {
  readonly backends: readonly BackendConfig[];
};

export interface Consumer {
  readonly name: string;
  readonly tier: TierConfig;
  readonly team?: string;
  /** Instead of the tier's. */
  readonly monthlyBudgetUsd?: number;
}

/** What the handler knows from its start on. */
export interface ServingConfig
  extends Omit<Resolved<ServingConfigWithRefs>, 'models' | 'tiers' | 'features' | 'consumers' | 'teams'> {
  readonly models: readonly ModelConfig[];
  readonly tiers: readonly TierConfig[];
  readonly features: ReadonlySet<string>;
  /** By name and by alias. */
  readonly modelByName: ReadonlyMap<string, ModelConfig>;
  /** By API key id. */
  readonly consumers: ReadonlyMap<string, Consumer>;
  readonly teams: ReadonlyMap<string, TeamConfig>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws Error that says what is wrong with the file or which environment variable is missing */
export function loadConfig(json: string, env: Environment): ServingConfig {
  const config = resolveRefs(JSON.parse(json), env) as Resolved<ServingConfigWithRefs>;
  if (config.version !== 1) {
    throw new Error(`${SERVING_CONFIG_FILE} has version ${config.version}, this handler reads version 1`);
  }
  const modelByName = new Map<string, ModelConfig>();
  for (const model of config.models) {
    for (const name of [model.name, ...model.aliases]) modelByName.set(name, model);
  }
  const features = new Set(config.features);
  const consumers = parseConsumers(env[CONSUMERS_ENV] ?? '', config.tiers, config.consumers ?? []);
  const teams = new Map((config.teams ?? []).map((team) => [team.name, team]));
  return { ...config, features, modelByName, consumers, teams };
}

/** An object with `env` as its only field stands for that variable's value. */
function resolveRefs(value: unknown, env: Environment): unknown {
  if (Array.isArray(value)) return value.map((item) => resolveRefs(item, env));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const [first] = entries;
  if (entries.length === 1 && first?.[0] === 'env' && typeof first[1] === 'string') {
    const resolved = env[first[1]];
    if (resolved === undefined) {
      throw new Error(`environment variable ${first[1]} is missing: ${SERVING_CONFIG_FILE} refers to it`);
    }
    return resolved;
  }
  // `headers` holds the user's own names, and `env` may be one of them.
  return Object.fromEntries(entries.map(([key, item]) => [key, key === 'headers' ? item : resolveRefs(item, env)]));
}

/** `<api key id>=<consumer>:<tier>`, comma-separated. */
function parseConsumers(
  text: string,
  tiers: readonly TierConfig[],
  settings: readonly ConsumerConfig[],
): Map<string, Consumer> {
  const consumers = new Map<string, Consumer>();
  for (const entry of text.split(',')) {
    if (entry.trim() === '') continue;
    const match = /^\s*([^=\s]+)=([^:\s]+):(\S+)\s*$/.exec(entry);
    const [, keyId, name, tierName] = match ?? [];
    if (keyId === undefined || name === undefined) {
      throw new Error(`${CONSUMERS_ENV} has an entry '${entry}' that is not '<api key id>=<consumer>:<tier>'`);
    }
    const tier = tiers.find((candidate) => candidate.name === tierName);
    if (tier === undefined) {
      throw new Error(`${CONSUMERS_ENV} puts consumer '${name}' in tier '${tierName}', which isn't declared`);
    }
    consumers.set(keyId, { ...settings.find((consumer) => consumer.name === name), name, tier });
  }
  return consumers;
}
