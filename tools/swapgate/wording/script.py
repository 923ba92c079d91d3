"""The same words in another script or form: simplified and traditional characters, numerals, Unicode's normal forms.

The table of characters is small and frozen: what the bundled prompts and wording files use, and common characters around
them. It is one to one. A simplified character that stands for several traditional ones (发, 后, 里, 面, 台, 只, 系, 干) is in
it only where a phrase decides (一只 is 一隻), so no edit has to guess. Characters outside the table stay.
"""

from __future__ import annotations

import re
import unicodedata
from functools import partial

from swapgate.wording.edits import Change, Edit, Kind
from swapgate.wording.preserve import NUMBERS_EN
from swapgate.wording.quotes import HAN, blanked

# Pairs: a simplified character and its traditional form, nothing between.
_PAIRS = (
    "爱愛 罢罷 败敗 办辦 帮幫 宝寶 报報 备備 贝貝 笔筆 边邊 变變 标標 宾賓 补補 财財 参參 灿燦 仓倉 层層 产產 长長 尝嘗 场場 车車 陈陳 衬襯 称稱 迟遲 虫蟲 处處 传傳 创創 纯純 词詞 从從 丛叢 达達 带帶 单單 当當 导導 岛島 灯燈 点點 电電 "
    "东東 动動 断斷 队隊 对對 顿頓 夺奪 鹅鵝 恶惡 儿兒 尔爾 饭飯 飞飛 费費 纷紛 坟墳 风風 凤鳳 缝縫 肤膚 妇婦 盖蓋 刚剛 钢鋼 岗崗 个個 给給 贡貢 沟溝 构構 购購 顾顧 关關 观觀 馆館 广廣 归歸 规規 轨軌 贵貴 国國 过過 还還 汉漢 号號 贺賀 "
    "鹤鶴 红紅 壶壺 护護 沪滬 华華 画畫 话話 坏壞 欢歡 环環 绘繪 货貨 机機 积積 极極 级級 记記 际際 继繼 纪紀 坚堅 间間 艰艱 简簡 见見 舰艦 渐漸 践踐 将將 浆漿 奖獎 讲講 酱醬 节節 洁潔 结結 仅僅 进進 惊驚 经經 静靜 镜鏡 旧舊 举舉 剧劇 "
    "据據 绢絹 觉覺 军軍 开開 颗顆 壳殼 课課 块塊 宽寬 况況 矿礦 亏虧 扩擴 蓝藍 篮籃 兰蘭 览覽 劳勞 乐樂 类類 离離 礼禮 丽麗 励勵 联聯 连連 莲蓮 脸臉 练練 粮糧 凉涼 两兩 辆輛 灵靈 领領 刘劉 龙龍 楼樓 炉爐 鲁魯 陆陸 驴驢 绿綠 罗羅 逻邏 "
    "妈媽 马馬 买買 卖賣 满滿 猫貓 贸貿 门門 们們 梦夢 绵綿 庙廟 灭滅 鸣鳴 难難 脑腦 闹鬧 鸟鳥 农農 浓濃 诺諾 欧歐 盘盤 赔賠 喷噴 凭憑 评評 扑撲 铺鋪 谱譜 齐齊 骑騎 气氣 迁遷 钱錢 墙牆 枪槍 桥橋 亲親 轻輕 倾傾 穷窮 区區 驱驅 权權 劝勸 "
    "确確 让讓 热熱 认認 荣榮 绒絨 软軟 锐銳 润潤 洒灑 赛賽 伞傘 扫掃 涩澀 杀殺 纱紗 晒曬 伤傷 赏賞 烧燒 绍紹 设設 摄攝 绅紳 审審 声聲 绳繩 胜勝 圣聖 师師 诗詩 时時 实實 识識 视視 试試 饰飾 释釋 寿壽 书書 树樹 帅帥 双雙 谁誰 顺順 说說 "
    "丝絲 饲飼 颂頌 苏蘇 虽雖 随隨 岁歲 孙孫 损損 缩縮 态態 谈談 叹嘆 汤湯 涛濤 题題 体體 条條 贴貼 铁鐵 听聽 厅廳 头頭 图圖 团團 湾灣 万萬 网網 为為 围圍 伟偉 纬緯 卫衛 温溫 闻聞 问問 乌烏 无無 务務 雾霧 习習 戏戲 细細 虾蝦 吓嚇 鲜鮮 "
    "贤賢 线線 现現 乡鄉 响響 项項 详詳 写寫 谢謝 兴興 绣繡 许許 续續 选選 学學 寻尋 讯訊 压壓 鸦鴉 鸭鴨 亚亞 烟煙 盐鹽 严嚴 颜顏 艳豔 验驗 扬揚 阳陽 杨楊 样樣 药藥 爷爺 页頁 业業 叶葉 医醫 仪儀 艺藝 亿億 义義 议議 异異 阴陰 银銀 饮飲 "
    "隐隱 鹰鷹 应應 营營 萤螢 赢贏 拥擁 优優 邮郵 犹猶 鱼魚 渔漁 语語 狱獄 园園 员員 圆圓 远遠 愿願 约約 跃躍 阅閱 运運 韵韻 杂雜 载載 赞讚 枣棗 则則 泽澤 责責 赠贈 张張 帐帳 胀脹 这這 针針 侦偵 阵陣 镇鎮 争爭 筝箏 织織 职職 执執 纸紙 "
    "质質 终終 钟鐘 种種 众眾 轴軸 诸諸 烛燭 砖磚 转轉 妆妝 装裝 状狀 资資 总總 纵縱 组組 摊攤 计計 订訂 训訓 诱誘 该該 询詢 谜謎 谦謙 胶膠 滤濾 涂塗 荫蔭 湿濕 蚂螞 蚁蟻 饼餅 馒饅 莹瑩 铅鉛 锅鍋 锁鎖 键鍵 钉釘 钩鉤 链鏈 镶鑲 闪閃 闭閉 "
    "颈頸 频頻 额額 鸡雞 鸽鴿 麦麥 黄黃 码碼 没沒 脚腳 侧側 测測 烂爛 炼煉 挂掛 挥揮 挡擋 择擇 撑撐 摆擺 携攜 敌敵 数數 显顯 晓曉 晖暉 暂暫 术術 栏欄 栅柵 档檔 泪淚 浅淺 浇澆 涌湧 渍漬 牵牽 独獨 狮獅 玛瑪 盏盞 砚硯 础礎 硕碩 禅禪 笼籠 "
    "紧緊 纹紋 纽紐 绑綁 绕繞 综綜 缀綴 缎緞 编編 茎莖 莺鶯 萝蘿 蔷薔 裤褲 袜襪 触觸 轮輪 辉輝 锦錦 镂鏤 阁閣 阔闊 顶頂 飘飄 鲸鯨 龟龜 扎紮 帘簾 阶階"
)  # fmt: skip
_TABLE = {pair[0]: pair[1] for pair in _PAIRS.split()}
_BACK = {new: old for old, new in _TABLE.items()}
_PHRASES = {f"{number}只": f"{number}隻" for number in "一二两三四五六七八九十这那"}
_PHRASES_BACK = {f"{number}隻": f"{number}只" for number in "一二兩三四五六七八九十這那"}
_NUMERALS = dict(zip("两二三四五六七八九", (2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_MEASURES = "个只位张把本朵盏条座件枚杯束片幅棵扇艘辆間间頁页個隻張盞條"
_ALONE = rf"(?<![.,，．第])(?<![^\W{HAN}])"  # not after a digit, a letter or what may join it to one
_WORDS = {word: value for word, value in NUMBERS_EN.items() if value > 1 and word != "pair"}


def script_edits() -> tuple[Edit, ...]:
    """Script, numerals and normal forms, most innocent first within each class."""
    zh, en, both = frozenset({"zh"}), frozenset({"en"}), frozenset({"zh", "en"})
    digits = {str(value): word for word, value in _WORDS.items()}
    return (
        *(Edit(id=f"to {form}", kind=Kind.NORMAL_FORM, languages=both, find=partial(_normal, form=form)) for form in ("NFC", "NFD", "NFKC")),
        Edit(id="simplified→traditional", kind=Kind.SCRIPT, languages=zh, find=partial(_all, table={**_TABLE, **_PHRASES})),
        Edit(id="traditional→simplified", kind=Kind.SCRIPT, languages=zh, find=partial(_all, table={**_BACK, **_PHRASES_BACK})),
        Edit(id="四→4", kind=Kind.NUMERALS, languages=zh, find=_to_digit),
        Edit(id="4→四", kind=Kind.NUMERALS, languages=zh, find=_to_numeral),
        Edit(id="four→4", kind=Kind.NUMERALS, languages=en, find=partial(_each_word, table={w: str(v) for w, v in _WORDS.items()})),
        Edit(id="4→four", kind=Kind.NUMERALS, languages=en, find=partial(_each_word, table=digits)),
    )


def simplified(text: str) -> str:
    """The text with every traditional character of the table in its simplified form: by this two scripts are one."""
    return "".join(_BACK.get(char, "只" if char == "隻" else char) for char in text)


def _normal(text: str, *, form: str) -> list[Change]:
    """One change for all of the text outside quotations; a combining mark goes with the letter before it."""
    shown = blanked(text)
    pieces = []
    for match in re.finditer(r"[^□]+", shown):
        part = text[match.start() : match.end()]
        new = unicodedata.normalize(form, part)  # type: ignore[arg-type]  # one of the four names
        if new != part and not unicodedata.combining(part[0]):
            pieces.append((match.start(), match.end(), new))
    return [Change(pieces=tuple(pieces))] if pieces else []


def _all(text: str, *, table: dict[str, str]) -> list[Change]:
    """One change for all characters and phrases of the table outside quotations: a person writes in one script."""
    pattern = "|".join(sorted(table, key=lambda word: (-len(word), word)))
    whole = [(m.start(), m.end(), _written(m.group(), table)) for m in re.finditer(pattern, blanked(text))]
    return [Change(pieces=tuple(whole))] if whole else []


def _written(word: str, table: dict[str, str]) -> str:
    """A phrase as the table has it, its other characters in the same script."""
    return "".join(table.get(char, char) for char in table[word])


def _to_digit(text: str) -> list[Change]:
    """A numeral before a measure word; 十 and longer ones stay, since 十二只 is one number."""
    found = re.finditer(rf"{_ALONE}(?<![十百千万一二两三四五六七八九])[{''.join(_NUMERALS)}](?=[{_MEASURES}])", text)
    return [Change(pieces=((m.start(), m.end(), str(_NUMERALS[m.group()])),)) for m in found]


def _to_numeral(text: str) -> list[Change]:
    """A single digit before a measure word; 2 is said 两 there."""
    back = {value: char for char, value in _NUMERALS.items() if char != "二"}
    found = re.finditer(rf"{_ALONE}[2-9](?=[{_MEASURES}])", text)
    return [Change(pieces=((m.start(), m.end(), back[int(m.group())]),)) for m in found]


def _each_word(text: str, *, table: dict[str, str]) -> list[Change]:
    """One change for every whole word of the table, with its capital; not inside 4K, 1.5 or 3-D."""
    words = "|".join(map(re.escape, table))
    found = re.finditer(rf"(?<![\w.,-])(?:{words})(?![\w-]|[.,]\d)(?=[ ][a-z{HAN}])", text, re.IGNORECASE)
    return [Change(pieces=((m.start(), m.end(), _cased(m.group(), table[m.group().lower()])),)) for m in found]


def _cased(old: str, new: str) -> str:
    return new[:1].upper() + new[1:] if old[:1].isupper() else new
