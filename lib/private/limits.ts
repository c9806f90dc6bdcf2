import { Duration, Size } from 'aws-cdk-lib';
import type { GatewayOptions } from '../gateway/gateway-props';
import type { LimitsConfig } from './serving-config';
import { requireDuration, requireSize } from './validation';

/** Lambda's limit for an invocation's payload, in which the body is one JSON string among API Gateway's own fields. */
const INVOKE_PAYLOAD = Size.mebibytes(6);

/** Room for the envelope and for what quoting the body adds. */
const DEFAULT_MAX_REQUEST = Size.kibibytes(5888);

/** Of a function, and of a streamed API Gateway integration: 15 minutes, less what it takes to end an answer well. */
const MAX_TOTAL = Duration.seconds(14 * 60 + 50);

/** API Gateway cuts a regional API's connection after 5 silent minutes. */
const MAX_SILENCE = Duration.seconds(4 * 60 + 55);

export function limitsConfig(props: GatewayOptions): LimitsConfig {
  const limits: LimitsConfig = {
    maxRequestBytes: requireSize(
      'maxRequestSize',
      props.maxRequestSize ?? DEFAULT_MAX_REQUEST,
      Size.kibibytes(1),
      INVOKE_PAYLOAD,
    ),
    totalTimeoutMs: requireDuration(
      'totalTimeout',
      props.totalTimeout ?? Duration.seconds(14 * 60 + 30),
      Duration.seconds(1),
      MAX_TOTAL,
    ),
    wholeAnswerTimeoutMs: requireDuration(
      'wholeAnswerTimeout',
      props.wholeAnswerTimeout ?? Duration.seconds(4 * 60 + 50),
      Duration.seconds(1),
      MAX_SILENCE,
    ),
    headersWaitMs: requireDuration(
      'headersWait',
      props.headersWait ?? Duration.seconds(20),
      Duration.millis(0),
      MAX_SILENCE,
    ),
    keepAliveMs: requireDuration(
      'keepAliveInterval',
      props.keepAliveInterval ?? Duration.seconds(15),
      Duration.seconds(1),
      MAX_SILENCE,
    ),
  };
  if (limits.wholeAnswerTimeoutMs > limits.totalTimeoutMs && props.wholeAnswerTimeout !== undefined) {
    throw new Error(
      `wholeAnswerTimeout (${props.wholeAnswerTimeout.toHumanString()}) must not be longer than totalTimeout (${limits.totalTimeoutMs / 1000} seconds)`,
    );
  }
  return { ...limits, wholeAnswerTimeoutMs: Math.min(limits.wholeAnswerTimeoutMs, limits.totalTimeoutMs) };
}
