import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { type DashboardSources, dashboardData } from './data.ts';

const PAGE = fileURLToPath(new URL('page.html', import.meta.url));

const MINUTE_MS = 60_000;
const DEFAULT_MINUTES = 60;
const MAX_MINUTES = 7 * 24 * 60;

/** The page is one file that loads nothing else; its script and style are its own. */
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:",
  'x-content-type-options': 'nosniff',
};

/** Answers `/dashboard` and what it fetches. @returns whether the request was for it */
export function serveDashboard(
  request: IncomingMessage,
  response: ServerResponse,
  sources: () => DashboardSources,
): boolean {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  if (url.pathname === '/dashboard' || url.pathname === '/dashboard/') {
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/html; charset=utf-8' });
    response.end(readFileSync(PAGE));
    return true;
  }
  if (url.pathname === '/dashboard/data.json') {
    const asked = Number(url.searchParams.get('minutes') ?? DEFAULT_MINUTES);
    const minutes = asked > 0 ? Math.min(asked, MAX_MINUTES) : DEFAULT_MINUTES;
    response.writeHead(200, { ...HEADERS, 'content-type': 'application/json' });
    response.end(JSON.stringify(dashboardData(sources(), minutes * MINUTE_MS)));
    return true;
  }
  return false;
}
