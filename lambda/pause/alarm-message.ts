/** What SNS hands to a function. https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html */
export interface SnsEvent {
  readonly Records: ReadonlyArray<{ readonly Sns: { readonly Message: string } }>;
}

/** What CloudWatch says of an alarm whose state has changed, as far as it matters here. */
export interface AlarmMessage {
  readonly arn: string;
  readonly name: string;
  readonly isInAlarm: boolean;
  readonly reason: string;
  /** Of the change of state, Unix milliseconds: the same in each delivery. */
  readonly at: number;
}

/** @returns undefined for a message that is no alarm's, such as one of our own on the same topic */
export function alarmMessageOf(text: string): AlarmMessage | undefined {
  let message: Record<string, unknown>;
  try {
    message = Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const { AlarmArn: arn, AlarmName: name, NewStateValue: state, NewStateReason: reason } = message;
  const at = Date.parse(String(message.StateChangeTime));
  if (typeof arn !== 'string' || Number.isNaN(at)) return undefined;
  return { arn, name: String(name), isInAlarm: state === 'ALARM', reason: String(reason ?? ''), at };
}
