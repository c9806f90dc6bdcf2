import type { BackendAuthConfig } from '../../lib/private/serving-config.ts';
import { BackendError } from '../backends/backend.ts';
import type { Resolved } from '../contract/config.ts';
import { CachedValue } from './cached-value.ts';
import { secretField } from './secret-value.ts';

/** The request headers that authenticate us to a backend. */
export interface Credentials {
  /** @throws BackendError of kind `auth`, or `aborted` by the signal */
  headers(signal?: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /** The backend refused them: the secret may have been rotated. Repeated calls don't hammer Secrets Manager. */
  invalidate(): void;
}

export interface CredentialsDeps {
  /** The backend's id, for errors. */
  readonly backend: string;
  /** @default - Secrets Manager */
  readonly readSecret?: (arn: string) => Promise<string>;
  /** @default Date.now */
  readonly now?: () => number;
  /** Lets Google's endpoints be servers on this machine. Only for tests. @default false */
  readonly allowLoopback?: boolean;
}

/** A rotated secret is noticed after this at the latest, and at once when the old one is refused. */
const SECRET_TTL_MS = 5 * 60_000;
/** While Secrets Manager is down, the last value goes on being used. */
const SECRET_STALE_MS = 60 * 60_000;
/** A token is replaced before it expires on its way. */
const TOKEN_MARGIN_MS = 60_000;

const none: Credentials = { headers: async () => ({}), invalidate: () => {} };

export function createCredentials(auth: Resolved<BackendAuthConfig>, deps: CredentialsDeps): Credentials {
  if (auth.type === 'none') return none;
  const now = deps.now ?? Date.now;
  const secret = new CachedValue({
    load: async () => {
      const { readSecret, isTransient } = await import('./secrets-manager.ts');
      try {
        const text = await (deps.readSecret ?? readSecret)(auth.secretArn);
        return { value: secretField(text, auth.jsonField), freshMs: SECRET_TTL_MS };
      } catch (error) {
        throw new LoadError(error, isTransient(error));
      }
    },
    staleMs: SECRET_STALE_MS,
    isTransient: isTransientLoad,
    now,
  });
  const token =
    auth.type === 'google'
      ? new CachedValue({
          load: async () => {
            const { googleToken } = await import('./google-token.ts');
            const key = await secret.get();
            const { token, validMs } = await googleToken(key, {
              allowLoopback: deps.allowLoopback ?? false,
              now,
            });
            return { value: token, freshMs: Math.max(0, validMs - TOKEN_MARGIN_MS) };
          },
          // While no new one is to be had, the old one is good for its last minute.
          staleMs: TOKEN_MARGIN_MS,
          isTransient: () => true,
          now,
        })
      : undefined;
  const name = auth.type === 'secret' ? auth.header : undefined;

  return {
    async headers(signal) {
      try {
        const value = await (token ?? secret).get(signal);
        // Header values can't carry a line's end: it would begin another header.
        if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) throw new Error('the value is not fit for a header');
        return name === undefined ? { authorization: `Bearer ${value}` } : { [name.toLowerCase()]: value };
      } catch (error) {
        if (signal?.aborted) {
          throw new BackendError(deps.backend, 'aborted', 'the request was aborted', { cause: error });
        }
        throw new BackendError(deps.backend, 'auth', `secret ${auth.secretArn} ${problem(error)}`, {
          cause: error instanceof LoadError ? error.cause : error,
        });
      }
    },
    invalidate() {
      token?.invalidate();
      secret.invalidate();
    },
  };
}

/** A failed load and whether it may pass. */
class LoadError extends Error {
  override readonly name = 'LoadError';
  readonly transient: boolean;

  constructor(cause: unknown, transient: boolean) {
    super('the secret could not be loaded', { cause });
    this.transient = transient;
  }
}

const isTransientLoad = (error: unknown): boolean => error instanceof LoadError && error.transient;

/** The rest of a sentence about the secret, without its value. */
function problem(error: unknown): string {
  const cause = error instanceof LoadError ? error.cause : error;
  if (!(cause instanceof Error)) return 'could not be used';
  if (cause.name === 'SecretProblem') return cause.message;
  if (cause.name === 'GoogleTokenError') return `was not accepted: ${cause.message}`;
  return error instanceof LoadError
    ? `could not be read (${cause.name}): grant the function secretsmanager:GetSecretValue, and check that the secret exists`
    : `could not be used (${cause.name})`;
}
