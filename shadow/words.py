"""What does the report say in English, and what in Chinese?

Names and numbers are the same in both; the words around them stand here. A text in braces is filled in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, get_args

from shadow.checklist import Check, Luck
from shadow.evidence import Evidence
from shadow.skill import PRIMARY_HORIZON

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

_ENGLISH = {
    "title": "Shadow report of {folder}: {days:g} days to {now}",
    "simulated": " SIMULATED MARKET: these bars are made up, no figure below is real. ",
    "verdict.True": "READY: every check passes. Whether it has skill stands below.",
    "verdict.False": "NOT READY: at least one check fails.",
    "verdict.None": "NOT ENOUGH EVIDENCE to say whether it is ready.",
    "stopped": "Records stop before this window. Is the plugin running? `python -m plugin status`",
    "empty": "No bar is recorded yet. Start the plugin, or name another folder by --dir"
    " or an end by --now.",
    "checklist": "Go-live checklist",
    "limit": "limit",
    "value": "value",
    "bars": "Bars",
    "expected": "expected",
    "recorded": "recorded",
    "with_p": "with p",
    "coverage": "coverage",
    "better_ones": "{n} better ones",
    "holes": "Bars without a probability",
    "inactive": "Stacking inactive",
    "errors": "Errors",
    "decisions": "Decisions",
    "bundles": "Bundles",
    "damage": "Damage",
    "and_more": "and {n} more",
    "members": "Members",
    "normal": "normal",
    "not_normal": "not normal",
    "outcomes": "Ahead",
    "n_worth": "n (worth)",
    "auc": "AUC, 95 %",
    "reversal": "reversal",
    "rank_ic": "rank IC (t)",
    "brier": "Brier",
    "too_little": "too little to tell",
    "outcomes.aid": "Reversal: the naive rule that a move turns back. A constant 0.5: Brier 0.25."
    " Worth: independent ones.",
    "fifths": "Fifths of p, {horizon} ahead",
    "mean_p": "mean p",
    "up": "up",
    "mean_return": "mean return, 95 %",
    "contributions": "Member",
    "gain": "gain, 95 %",
    "contributions.aid": "Each member alone, and its gain: how much lower the Brier score of all"
    " members' average is than without it, in thousandths.",
    "agreement": "The bot's own signal",
    "agreement.says": "{n} bars with a signal and a decision: the same side on {share},"
    " opposed on {opposed}.",
    "agreement.odd": "Signals that are not understood",
    "trading": "If traded",
    "return": "return, 95 %",
    "drawdown": "drawdown",
    "sharpe": "Sharpe",
    "deflated": "deflated",
    "costs": "costs",
    "trades": "trades",
    "ensemble": "ensemble",
    "host": "bot's signal",
    "both": "both agree",
    "neither": "neither",
    "buy_and_hold": "buy and hold",
    "trading.aid": "After {fee:g} + {slippage:g} hundredths of a percent a trade. Deflated: the chance"
    " that it beats the best of {trials} without skill.",
    "trading.no_host": "The bot told no signal of its own.",
    "trading.stops": "{n} trades of the ensemble ended at their stop.",
    "trading.unstopped": "No stop could be simulated on {n} bars: no highs and lows, or fewer than 14"
    " bars in a row.",
    "pair": "Challenger {challenger} against champion {champion}",
    "pair.says": "{n} bars: Brier {own} against {other}. Evidence that it is not worse: {not_inferior},"
    " better: {better}, worse: {worse}; {level:g} decides.",
    "pair.more": "At this rate {n} more bars decide.",
    "pair.unknown": "How many more bars it takes can not be told yet.",
    "by_regime": "By regime: bars, return, share that earned",
    "by_hour": "By hour (UTC): bars, return, share that earned",
    "by_symbol": "By symbol: bars, return, share that earned",
    "reliability": "How often up came (95 %) where so much was said; on the diagonal both are equal",
    "price.aid": "Close, and below it the probability of up with its decisions: long or short.",
    "challenger": "Champion against challenger",
    "challenger.none": "No challenger was asked in this window.",
    "recalibrated": "Recalibrated",
    "recalibrated.brier": "of p'",
    "recalibrated.better": "evidence",
    "recalibrated.acts": "acts",
    "recalibrated.aid": "p' is p as outcomes say that it is to be read. Evidence that it is better:"
    " {level:g} decides.",
    "yes": "yes",
    "no": "no",
    "drift": "Drift of the features",
    "drift.says": "{share} of the features drift ({since} to {until}), limit {limit}: {names}",
    "drift.none": "Not measured: `python -m training drift`",
    "limits": "limits changed",
    "luck": "Could it be luck?",
}

_CHINESE = {
    "title": "影子报告 {folder}：截至 {now} 的 {days:g} 天",
    "simulated": " 模拟行情：这些K线是生成的，以下数字均不真实。 ",
    "verdict.True": "就绪：所有检查均已通过。是否真有预测能力，见下文。",
    "verdict.False": "未就绪：至少有一项检查未通过。",
    "verdict.None": "证据不足，无法判断是否就绪。",
    "stopped": "该时段内没有记录。插件在运行吗？`python -m plugin status`",
    "empty": "尚无任何K线记录。请启动插件，或用 --dir 指定其他目录，用 --now 指定其他截止时间。",
    "checklist": "上线检查清单",
    "limit": "界限",
    "value": "实测",
    "bars": "K线",
    "expected": "应有",
    "recorded": "已记录",
    "with_p": "有概率",
    "coverage": "覆盖率",
    "better_ones": "其余 {n} 个更好",
    "holes": "没有概率的K线",
    "inactive": "堆叠未激活",
    "errors": "错误",
    "decisions": "决策",
    "bundles": "模型包",
    "damage": "日志损坏",
    "and_more": "另有 {n} 项",
    "members": "成员模型",
    "normal": "正常",
    "not_normal": "异常",
    "outcomes": "提前量",
    "n_worth": "样本（等效）",
    "auc": "AUC，95%",
    "reversal": "反转规则",
    "rank_ic": "秩IC（t）",
    "brier": "Brier",
    "too_little": "样本太少",
    "outcomes.aid": "反转规则：涨跌会回头的朴素规则。恒为 0.5 时 Brier 为 0.25。"
    "等效：相当于多少个独立样本。",
    "fifths": "按概率五等分，提前 {horizon} 根",
    "mean_p": "平均概率",
    "up": "上涨",
    "mean_return": "平均收益，95%",
    "contributions": "成员",
    "gain": "增益，95%",
    "contributions.aid": "各成员单独的 AUC 与增益：全部成员的平均，"
    "比去掉该成员后 Brier 分数低多少（千分之一）。",
    "agreement": "机器人自身信号",
    "agreement.says": "{n} 根K线同时有信号和决策：方向相同 {share}，相反 {opposed}。",
    "agreement.odd": "无法理解的信号",
    "trading": "若照此交易",
    "return": "收益，95%",
    "drawdown": "回撤",
    "sharpe": "夏普",
    "deflated": "折减后",
    "costs": "成本",
    "trades": "交易",
    "ensemble": "集成模型",
    "host": "机器人信号",
    "both": "两者一致",
    "neither": "都不做",
    "buy_and_hold": "买入持有",
    "trading.aid": "已扣除每笔 {fee:g} + {slippage:g} 个基点。"
    "折减后：优于 {trials} 个无能力候选中最佳者的概率。",
    "trading.no_host": "机器人没有给出自己的信号。",
    "trading.stops": "集成模型有 {n} 笔交易止损离场。",
    "trading.unstopped": "有 {n} 根K线无法模拟止损：缺少最高价和最低价，或连续K线不足 14 根。",
    "pair": "挑战者 {challenger} 对冠军 {champion}",
    "pair.says": "{n} 根K线：Brier {own} 对 {other}。"
    "不更差的证据：{not_inferior}，更好：{better}，更差：{worse}；"
    "达到 {level:g} 即可判定。",
    "pair.more": "照此速度，还需 {n} 根K线即可判定。",
    "pair.unknown": "还需多少根K线，目前无法判断。",
    "by_regime": "按波动状态：K线数、收益、盈利占比",
    "by_hour": "按小时（UTC）：K线数、收益、盈利占比",
    "by_symbol": "按交易对：K线数、收益、盈利占比",
    "reliability": "给出某一概率时实际上涨的比例（95%）：落在对角线上即与所说一致",
    "price.aid": "收盘价；下方为上涨概率及其决策：做多或做空。",
    "challenger": "冠军对挑战者",
    "challenger.none": "本时段内没有询问挑战者。",
    "recalibrated": "重新校准",
    "recalibrated.brier": "p' 的",
    "recalibrated.better": "证据",
    "recalibrated.acts": "生效",
    "recalibrated.aid": "p' 是按以往结果重新解读的 p。证据表示 p' 更好，达到 {level:g} 即判定。",
    "yes": "是",
    "no": "否",
    "drift": "特征漂移",
    "drift.says": "{share} 的特征发生漂移（{since} 至 {until}），界限 {limit}：{names}",
    "drift.none": "尚未测量：`python -m training drift`",
    "limits": "已更改的界限",
    "luck": "会不会只是运气？",
}

WORDS: Mapping[Language, Mapping[str, str]] = {"en": _ENGLISH, "zh": _CHINESE}

_CHECKS_IN_CHINESE = {
    "coverage": "有概率的K线",
    "stacking_activation": "堆叠激活率",
    "share_within_0.3_0.7": "概率位于 0.3 至 0.7 之间",
    "hours_in_shadow": "影子模式小时数",
    "errors": "出错的K线",
    "damage": "日志损坏",
    "real_market": "真实行情",
    "members": "本时段内没有成员作答",
}


def check_sentence(check: Check, language: Language) -> str:
    """What was measured, in words."""
    if language == "en":
        return check.says.partition(":")[0]
    if check.name.startswith("members."):
        return f"{check.name.removeprefix('members.')} 正常作答"
    return _CHECKS_IN_CHINESE[check.name]


def luck_sentence(luck: Luck, evidence: Evidence, language: Language) -> str:
    """The chance that a model without skill looks at least this good, in words."""
    if language == "en":
        return luck.says
    figures = evidence.outcomes.get(PRIMARY_HORIZON)
    if figures is None or math.isnan(luck.probability):
        return "目前还无法判断：已知结果太少。"
    share = f"{luck.probability:.0%}" if luck.probability >= 0.005 else "不到 0.5%"
    return (
        f"没有预测能力的模型，在 {share} 的同样时段里看起来至少也这么好"
        f"（提前 {luck.horizon_bars} 根，{figures.n} 个结果，"
        f"相当于 {figures.n_effective:.0f} 个独立结果）。"
    )
