import { AlarmStatusWidget, type IAlarm, type IWidget } from 'aws-cdk-lib/aws-cloudwatch';

/** CloudWatch shows at most 100 alarms in a widget. */
const MAX_ALARMS = 100;

export function alarmRows(alarms: readonly IAlarm[]): IWidget[] {
  if (alarms.length === 0) return [];
  // Four in a row of the widget, each a line high.
  const height = 2 + Math.ceil(Math.min(alarms.length, MAX_ALARMS) / 4);
  return [new AlarmStatusWidget({ title: 'Alarms', alarms: alarms.slice(0, MAX_ALARMS), width: 24, height })];
}
