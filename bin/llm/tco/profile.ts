import { readFileSync } from 'node:fs';
import { parse, UsageError } from '../command.ts';

/** A month's traffic, and what it could be answered by. */
export interface Profile {
  readonly requestsPerDay: number;
  /** Of one request, on average. */
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** The share of input tokens that a prompt cache has, 0–1. */
  readonly cachedShare: number;
  /** The busiest hour of a day over its average hour; at least 1. */
  readonly peakFactor: number;
  /** How long an answer takes: Lambda is paid while it streams. */
  readonly secondsPerRequest: number;
  readonly provider: string;
  readonly model: string;
  readonly inputUsd: number | undefined;
  readonly outputUsd: number | undefined;
  readonly instance: string;
  readonly instanceHourlyUsd: number | undefined;
  /** Of the on-demand price; 1 is on-demand. */
  readonly spotFactor: number;
  /** Input and output tokens of an instance that is busy. */
  readonly tokensPerHour: number;
  /** Instances that run also when nobody asks, where there is nothing else to answer. */
  readonly minInstances: number;
  /** Hours a month, and what one costs. */
  readonly managedHours: number;
  readonly hybridHours: number;
  readonly selfHostedHours: number;
  readonly engineerUsd: number;
}

const DEFAULTS: Profile = {
  requestsPerDay: 10_000,
  inputTokens: 1_000,
  outputTokens: 300,
  cachedShare: 0,
  peakFactor: 3,
  secondsPerRequest: 8,
  provider: 'aws',
  model: 'amazon.nova-lite-v1:0',
  inputUsd: undefined,
  outputUsd: undefined,
  instance: 'g6.xlarge',
  instanceHourlyUsd: undefined,
  spotFactor: 1,
  tokensPerHour: 1_000_000,
  minInstances: 1,
  managedHours: 2,
  hybridHours: 12,
  selfHostedHours: 20,
  engineerUsd: 0,
};

type NumberKey = { [K in keyof Profile]: Profile[K] extends number | undefined ? K : never }[keyof Profile];

/** Least and most of each number. */
const RANGES: Readonly<Record<NumberKey, readonly [min: number, max: number]>> = {
  requestsPerDay: [0.001, 1e12],
  inputTokens: [0, 1e7],
  outputTokens: [0, 1e7],
  cachedShare: [0, 1],
  peakFactor: [1, 24],
  secondsPerRequest: [0.001, 900],
  inputUsd: [0, 1e6],
  outputUsd: [0, 1e6],
  instanceHourlyUsd: [0.0001, 1e5],
  spotFactor: [0.01, 1],
  tokensPerHour: [1, 1e12],
  minInstances: [0, 1e5],
  managedHours: [0, 10_000],
  hybridHours: [0, 10_000],
  selfHostedHours: [0, 10_000],
  engineerUsd: [0, 1e5],
};

const isNumber = (key: string): key is NumberKey => Object.hasOwn(RANGES, key);
const flagOf = (key: string): string => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

export interface TcoOptions {
  readonly profile: Profile;
  readonly html: string | undefined;
  readonly json: boolean;
}

/** Flags come before the file, and the file before the defaults. @throws UsageError */
export function readOptions(args: readonly string[]): TcoOptions {
  const keys = Object.keys(DEFAULTS);
  const { values } = parse(args, {
    profile: { type: 'string' },
    html: { type: 'string' },
    json: { type: 'boolean' },
    ...Object.fromEntries(keys.map((key) => [flagOf(key), { type: 'string' as const }])),
  });
  const given: Record<string, unknown> = values;
  const profile: Record<string, unknown> = { ...DEFAULTS };
  if (values.profile !== undefined) {
    for (const [key, value] of Object.entries(readFile(values.profile))) {
      if (!keys.includes(key)) {
        throw new UsageError(`${values.profile} has "${key}", which is none of ${keys.join(', ')}`);
      }
      profile[key] = checked(key, value, `"${key}" of ${values.profile}`);
    }
  }
  for (const key of keys) {
    const value = given[flagOf(key)];
    if (value !== undefined) profile[key] = checked(key, value, `--${flagOf(key)}`);
  }
  if (profile.inputTokens === 0 && profile.outputTokens === 0) {
    throw new UsageError('--input-tokens and --output-tokens are both 0: there is nothing to pay for');
  }
  return { profile: profile as unknown as Profile, html: values.html, json: values.json ?? false };
}

function checked(key: string, value: unknown, where: string): string | number {
  if (!isNumber(key)) {
    if (typeof value !== 'string' || value === '')
      throw new UsageError(`${where} must be a name, got ${String(value)}`);
    return value;
  }
  const [min, max] = RANGES[key];
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number !== 'number' || !(number >= min && number <= max)) {
    throw new UsageError(`${where} must be a number between ${min} and ${max}, got ${String(value)}`);
  }
  return number;
}

function readFile(path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`--profile ${path} can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`--profile ${path} must hold an object`);
  }
  return { ...value };
}
