import type { BillAnomaliesOptions, CostAlarmsOptions, MonthlyBudgetProps } from '../lib/index.js';
import { boolean, type Decode, fields, list, number, record, required, text } from './decode.ts';

const costAlarmFields = fields({
  httpsEndpoints: list(text),
  slackChannels: list(fields({ workspaceId: text, channelId: text })),
  teamsChannels: list(fields({ tenantId: text, teamId: text, channelId: text })),
  budgetThresholdsPercent: list(number),
  forecast: boolean,
  hourlyUsd: number,
  dailyUsd: number,
  tierDailyUsd: record(number),
  featureDailyUsd: record(number),
  anomalies: boolean,
  anomalyStandardDeviations: number,
  estimatedRequestsPerHour: number,
});

/** `costAlarms`: other limits, and who is told besides `alarmEmail`. */
export const costAlarms: Decode<CostAlarmsOptions> = (value, path) => {
  const { slackChannels, teamsChannels, ...rest } = costAlarmFields(value, path);
  return {
    ...rest,
    slackChannels: slackChannels?.map(({ workspaceId, channelId }, index) => {
      const at = `${path}.slackChannels[${index}]`;
      return {
        workspaceId: required(workspaceId, `${at}.workspaceId`),
        channelId: required(channelId, `${at}.channelId`),
      };
    }),
    teamsChannels: teamsChannels?.map(({ tenantId, teamId, channelId }, index) => {
      const at = `${path}.teamsChannels[${index}]`;
      return {
        tenantId: required(tenantId, `${at}.tenantId`),
        teamId: required(teamId, `${at}.teamId`),
        channelId: required(channelId, `${at}.channelId`),
      };
    }),
  };
};

const budgetFields = fields({
  limitUsd: number,
  thresholdsPercent: list(number),
  forecast: boolean,
  emails: list(text),
  tags: record(text),
});

/** `accountBudget`: of AWS Budgets. */
export const accountBudget: Decode<MonthlyBudgetProps> = (value, path) => {
  const { limitUsd, ...rest } = budgetFields(value, path);
  return { ...rest, limitUsd: required(limitUsd, `${path}.limitUsd`) };
};

/** `billAnomalies`: AWS Cost Anomaly Detection. */
export const billAnomalies: Decode<BillAnomaliesOptions> = fields({
  monitorArn: text,
  tag: text,
  tagValues: list(text),
  minimumUsd: number,
});
