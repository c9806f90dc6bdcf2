import type { Headers } from './lambda-integration.ts';

/**
 * Headers that belong to API Gateway's own connection: an integration's are renamed.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
 */
const REMAPPED = new Set(['connection', 'content-length', 'date', 'host', 'server', 'user-agent', 'www-authenticate']);
const DROPPED = new Set(['transfer-encoding']);

/** As `name, value, name, value, …`, which keeps repeated headers apart. */
export function integrationHeaders(headers: Headers): string[] {
  return headers.flatMap(([name, value]) => {
    const lower = name.toLowerCase();
    if (DROPPED.has(lower)) return [];
    return [REMAPPED.has(lower) ? `x-amzn-Remapped-${lower}` : name, value];
  });
}
