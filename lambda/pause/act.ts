import type { KillSwitchConfig } from '../../lib/private/kill-switch-config.ts';
import { markTold, PAUSES_KEY, type Pause, type PauseTable, pause, pausesIn } from '../usage/pauses.ts';
import type { AlarmMessage } from './alarm-message.ts';
import { type Notice, noticeOf } from './notice.ts';

export interface ActDeps {
  readonly table: PauseTable;
  publish(notice: Notice): Promise<void>;
  now(): number;
}

/** A reason of CloudWatch's lists data points. */
const MAX_DETAIL = 500;

/**
 * Pauses what an alarm is to pause, then tells of each pause that nobody was told of. Called again with the same message
 * (SNS delivers at least once) it changes nothing, and tells what it couldn't before.
 *
 * @returns those that it told of
 */
export async function act(config: KillSwitchConfig, message: AlarmMessage, deps: ActDeps): Promise<readonly Pause[]> {
  const watched = config.alarms.find(({ arn }) => arn === message.arn);
  if (watched === undefined) return [];
  for (const { kind, name, ms, reason } of message.isInAlarm ? watched.pauses : []) {
    const until = ms === undefined ? undefined : message.at + ms;
    // Delivered so late that it would be over already.
    if (until !== undefined && until <= deps.now()) continue;
    await pause(
      deps.table,
      { kind, name },
      {
        ...{ since: message.at, by: 'alarm', reason },
        ...(until === undefined ? {} : { until }),
        detail: `alarm ${message.name}: ${message.reason}`.slice(0, MAX_DETAIL),
      },
    );
  }
  const untold = pausesIn(await deps.table.get(PAUSES_KEY), deps.now()).filter(({ told }) => !told);
  for (const each of untold) {
    await deps.publish(noticeOf(each, config));
    await markTold(deps.table, each);
  }
  return untold;
}
