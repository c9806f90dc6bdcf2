import { createSign } from 'node:crypto';
import type { AccessToken, GoogleTokenOptions } from './access-token.ts';
import { parseObject, SecretProblem } from './secret-value.ts';

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
const JWT_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const DEFAULT_TOKEN_URI = 'https://oauth2.googleapis.com/token';
/** Google's longest. */
const ASSERTION_SECONDS = 3_600;
const TIMEOUT_MS = 5_000;

/** An access token for a service account's JSON key or a workload identity federation configuration. */
export async function googleToken(json: string, options: GoogleTokenOptions): Promise<AccessToken> {
  const credential = parseObject(json);
  switch (credential.type) {
    case 'service_account':
      return serviceAccountToken(credential, options);
    case 'external_account': {
      const { federatedToken } = await import('./google-federation.ts');
      return federatedToken(credential, SCOPE, options);
    }
    default:
      throw new SecretProblem("is neither a service account's key nor a workload identity configuration");
  }
}

/** The JWT bearer grant of RFC 7523, as Google documents it for service accounts. */
async function serviceAccountToken(
  credential: Record<string, unknown>,
  options: GoogleTokenOptions,
): Promise<AccessToken> {
  const email = requiredString(credential, 'client_email');
  const key = requiredString(credential, 'private_key');
  const tokenUri = checkedTokenUri(credential.token_uri ?? DEFAULT_TOKEN_URI, options.allowLoopback);
  const issuedAt = Math.floor(options.now() / 1000);
  const header = {
    alg: 'RS256',
    typ: 'JWT',
    ...(typeof credential.private_key_id === 'string' && { kid: credential.private_key_id }),
  };
  const claims = { iss: email, scope: SCOPE, aud: tokenUri.href, iat: issuedAt, exp: issuedAt + ASSERTION_SECONDS };
  const unsigned = `${encode(header)}.${encode(claims)}`;
  const assertion = `${unsigned}.${sign(unsigned, key)}`;
  const response = await fetch(tokenUri, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: JWT_GRANT, assertion }),
    // A redirect would carry the signed assertion elsewhere.
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const body = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (!response.ok || typeof body.access_token !== 'string') {
    throw new GoogleTokenError(response.status, typeof body.error === 'string' ? body.error : 'no access token');
  }
  const seconds = typeof body.expires_in === 'number' ? body.expires_in : ASSERTION_SECONDS;
  return { token: body.access_token, validMs: seconds * 1000 };
}

/** Google's answer to the request for a token. */
export class GoogleTokenError extends Error {
  override readonly name = 'GoogleTokenError';
  readonly status: number;

  constructor(status: number, code: string) {
    super(`Google answered ${status} (${code.slice(0, 80)})`);
    this.status = status;
  }
}

function checkedTokenUri(given: unknown, allowLoopback: boolean): URL {
  const uri = URL.canParse(String(given)) ? new URL(String(given)) : undefined;
  const isGoogles =
    uri?.protocol === 'https:' && uri.port === '' && /^([a-z0-9-]+\.)*googleapis\.com$/.test(uri.hostname);
  const isLocal = allowLoopback && uri?.hostname === '127.0.0.1';
  // Whoever could change it would get assertions that Google accepts.
  if (!uri || !(isGoogles || isLocal)) throw new SecretProblem("has a token_uri that isn't Google's");
  return uri;
}

function sign(text: string, key: string): string {
  try {
    return createSign('RSA-SHA256').update(text).sign(key, 'base64url');
  } catch {
    // Without the cause, which may quote the key.
    throw new SecretProblem('has a private_key that is no PEM of an RSA key');
  }
}

function requiredString(credential: Record<string, unknown>, field: string): string {
  const value = credential[field];
  if (typeof value !== 'string' || value === '') throw new SecretProblem(`has no field '${field}'`);
  return value;
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
