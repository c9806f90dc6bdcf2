import type { Consumer, ServingConfig } from '../contract/config.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import { PRIORITIES, type Priority } from '../routing/decision.ts';
import { ApiError } from './errors.ts';
import { type GatewayEvent, header } from './gateway.ts';

/** Who asks, and what for. */
export interface Caller {
  /** The declared consumer's name; the API key's id for a key that was made outside the stack. */
  readonly consumer: string;
  readonly tier: Consumer['tier'];
  readonly team?: string | undefined;
  /** Instead of the tier's, USD. */
  readonly monthlyBudgetUsd?: number | undefined;
}

export interface Purpose {
  /** `safety_identifier`, else `user`: the end user as the application knows them. */
  readonly user: string | undefined;
  /** As the client names it. */
  readonly feature: string | undefined;
  /** The `feature` metric dimension: declared features only, for each value is a paid metric. */
  readonly featureDimension: string;
  /** The client's id of a conversation, in a header: what keeps it where its beginning is cached. */
  readonly session: string | undefined;
  /** What the client says that quality is worth to it, for models whose policy asks. */
  readonly priority: Priority | undefined;
}

/** A feature's name ends in logs and metric dimensions. */
const FEATURE = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$/;
const FEATURE_HEADER = 'x-llm-feature';
const PRIORITY_HEADER = 'x-llm-priority';
const SESSION_HEADER = 'x-session-id';
/** Longer than any UUID or trace id; a longer one is cut, for nobody is refused over a hint. */
const MAX_SESSION = 256;

/**
 * The consumer of the API key that API Gateway let in. A key that was made outside the stack (in the console, by a
 * developer portal) belongs to the tier when there is only one; with several the handler can't know which.
 *
 * @param registered the consumer of a key that is in the ledger
 * @throws ApiError 401 without a key (API Gateway is then misconfigured), 403
 */
export function identifyCaller(event: GatewayEvent, config: ServingConfig, registered?: Consumer): Caller {
  const keyId = event.requestContext.identity?.apiKeyId;
  if (!keyId) {
    throw new ApiError(401, 'You didn\'t provide an API key. Send it as "Authorization: Bearer YOUR_KEY".', {
      code: 'invalid_api_key',
    });
  }
  const known = config.consumers.get(keyId) ?? registered;
  if (known !== undefined) {
    const { name, tier, team, monthlyBudgetUsd } = known;
    return { consumer: name, tier, team, monthlyBudgetUsd };
  }
  const [onlyTier, ...others] = config.tiers;
  if (onlyTier !== undefined && others.length === 0) return { consumer: keyId, tier: onlyTier };
  throw new ApiError(403, `The API key (id ${keyId}) belongs to no declared consumer.`, { code: 'key_not_registered' });
}

/** @throws ApiError 400 when the feature's name isn't one, or the priority none of the three */
export function identifyPurpose(event: GatewayEvent, request: ChatCompletionRequest, config: ServingConfig): Purpose {
  const inBody = request.metadata?.feature;
  const feature = inBody ?? header(event, FEATURE_HEADER);
  if (feature !== undefined && !FEATURE.test(feature)) {
    const param = inBody === undefined ? FEATURE_HEADER : 'metadata.feature';
    throw new ApiError(
      400,
      `Invalid '${param}': expected up to 64 of A-Z a-z 0-9 . _ / - starting with a letter or digit.`,
      {
        param,
        code: 'invalid_value',
      },
    );
  }
  const featureDimension = feature === undefined ? 'none' : config.features.has(feature) ? feature : 'other';
  const session = header(event, SESSION_HEADER)?.slice(0, MAX_SESSION) || undefined;
  const user = request.safety_identifier ?? request.user ?? undefined;
  return { user, feature, featureDimension, session, priority: priorityOf(event) };
}

function priorityOf(event: GatewayEvent): Priority | undefined {
  const value = header(event, PRIORITY_HEADER);
  if (value === undefined) return undefined;
  const priority = PRIORITIES.find((each) => each === value.trim().toLowerCase());
  if (priority !== undefined) return priority;
  throw new ApiError(400, `Invalid '${PRIORITY_HEADER}': expected one of ${PRIORITIES.join(', ')}.`, {
    param: PRIORITY_HEADER,
    code: 'invalid_value',
  });
}
