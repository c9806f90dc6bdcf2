import { Token } from 'aws-cdk-lib';
import type { CorsConfig } from './serving-config';

/** What a page's script may read of a response. */
const EXPOSED_HEADERS = [
  'x-request-id',
  'x-llm-model',
  'x-llm-backend',
  'x-llm-cache',
  'x-llm-cache-score',
  'age',
  'x-llm-fallbacks',
  'x-llm-route',
  'x-llm-validation-error',
  'retry-after',
];

/** `*` covers the OpenAI SDK's many `x-stainless-` headers; it never covers `Authorization`, which must be named. */
export const ALLOWED_HEADERS = ['*', 'Authorization'];

export function corsConfig(origins: readonly string[] | undefined): CorsConfig | undefined {
  if (origins === undefined || origins.length === 0) return undefined;
  if (origins.includes('*') && origins.length > 1) {
    throw new Error('corsOrigins must be "*" alone or a list of origins, not both');
  }
  for (const origin of origins) {
    if (Token.isUnresolved(origin) || (origin !== '*' && !isOrigin(origin))) {
      throw new Error(
        `corsOrigins must hold origins (scheme, host and port, no path: https://app.example.com), got "${origin}"`,
      );
    }
  }
  return { allowOrigins: [...origins], exposeHeaders: EXPOSED_HEADERS };
}

function isOrigin(value: string): boolean {
  try {
    return new URL(value).origin === value;
  } catch {
    return false;
  }
}
