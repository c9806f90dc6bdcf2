import { Duration, Token } from 'aws-cdk-lib';
import type { BackendOptions } from '../../model/backend';
import type { TokenPrice } from '../../model/token-price';
import { backendVariable } from '../backend-binding';
import type { ConfigString, DeadlinesConfig, PriceConfig } from '../serving-config';
import { requireDuration, requireInteger, requireKnown } from '../validation';

/** Longest id: it is a metric dimension and part of environment variables' names, of which a function has 4 KB. */
const MAX_ID_LENGTH = 64;

/** What every backend's configuration has. */
export interface CommonConfig {
  readonly id: string;
  readonly price: PriceConfig;
  readonly deadlines: DeadlinesConfig;
  readonly contextWindow?: number;
  readonly maxOutputTokens?: number;
}

export function commonConfig(id: string, price: TokenPrice, options: BackendOptions): CommonConfig {
  requireKnown('contextWindow', options.contextWindow);
  requireKnown('maxOutputTokens', options.maxOutputTokens);
  requireInteger('contextWindow', options.contextWindow, 1);
  requireInteger('maxOutputTokens', options.maxOutputTokens, 1);
  return {
    id,
    price: price._render(),
    deadlines: {
      connectMs: deadline('connectTimeout', options.connectTimeout ?? Duration.seconds(5), Duration.minutes(1)),
      firstTokenMs: deadline(
        'firstTokenTimeout',
        options.firstTokenTimeout ?? Duration.minutes(2),
        Duration.minutes(15),
      ),
      betweenTokensMs: deadline(
        'betweenTokensTimeout',
        options.betweenTokensTimeout ?? Duration.minutes(1),
        Duration.minutes(15),
      ),
      ...(options.wholeAnswerTimeout && {
        wholeAnswerMs: deadline('wholeAnswerTimeout', options.wholeAnswerTimeout, Duration.seconds(295)),
      }),
    },
    ...(options.contextWindow !== undefined && { contextWindow: options.contextWindow }),
    ...(options.maxOutputTokens !== undefined && { maxOutputTokens: options.maxOutputTokens }),
  };
}

function deadline(prop: string, value: Duration, max: Duration): number {
  return requireDuration(prop, value, Duration.millis(100), max);
}

/** The given id, checked, or one made from what the backend is. */
export function backendIdOf(given: string | undefined, ...parts: string[]): string {
  if (given === undefined) {
    const derived = parts
      .join('-')
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '');
    return derived.slice(0, MAX_ID_LENGTH).replace(/-+$/, '');
  }
  if (Token.isUnresolved(given) || given.length > MAX_ID_LENGTH || !/^[a-z0-9][a-z0-9-]*$/.test(given)) {
    throw new Error(
      `backendId must be 1–${MAX_ID_LENGTH} lower-case letters, digits or "-" and begin with a letter or digit, got "${given}"`,
    );
  }
  return given;
}

/** Puts values that are known only at deploy into environment variables. */
export class DeployValues {
  public readonly environment: Record<string, string> = {};

  constructor(private readonly backendId: string) {}

  public put(suffix: string, value: string): { env: string } {
    const env = backendVariable(this.backendId, suffix);
    this.environment[env] = value;
    return { env };
  }

  public putIfToken(suffix: string, value: string): ConfigString {
    return Token.isUnresolved(value) ? this.put(suffix, value) : value;
  }
}
