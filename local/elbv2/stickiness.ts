import type { Target, TargetGroup } from './target-group.ts';

const COOKIE = 'AWSALB';
/** For cross-origin requests; carries the same. */
const CORS_COOKIE = 'AWSALBCORS';

/** The target that a request's cookie names, as long as it takes requests and the cookie hasn't expired. */
export function stickyTarget(group: TargetGroup, cookieHeader: string | undefined, now: number): Target | undefined {
  if (group.definition.stickinessMs === undefined || cookieHeader === undefined) return undefined;
  for (const pair of cookieHeader.split(';')) {
    const [name, value = ''] = pair.trim().split('=', 2);
    if (name !== COOKIE && name !== CORS_COOKIE) continue;
    const [id = '', expires = '0'] = Buffer.from(decodeURIComponent(value), 'base64url').toString().split(' ');
    const target = group.target(id);
    if (target?.state === 'healthy' && Number(expires) > now) return target;
  }
  return undefined;
}

/** Sent with each answer: the duration starts anew. Clients can't read a target out of a real one, which is encrypted. */
export function stickyCookies(group: TargetGroup, target: Target, now: number): string[] {
  const { stickinessMs } = group.definition;
  if (stickinessMs === undefined) return [];
  const expires = now + stickinessMs;
  const value = Buffer.from(`${target.id} ${expires} ${Math.random()}`).toString('base64url');
  const date = new Date(expires).toUTCString();
  return [
    `${COOKIE}=${value}; Expires=${date}; Path=/`,
    `${CORS_COOKIE}=${value}; Expires=${date}; Path=/; SameSite=None`,
  ];
}
