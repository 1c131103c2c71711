"""Units by symbol and name, currencies, what word problems count, Chinese classifiers."""

from __future__ import annotations

import re

PREFIXES = {
    "T": "tera", "G": "giga", "M": "mega", "k": "kilo", "h": "hecto", "d": "deci", "c": "centi", "m": "milli",
    "μ": "micro", "n": "nano", "p": "pico",
}  # fmt: skip
METRIC = {
    "m": "meter metre", "g": "gram gramme", "s": "second", "A": "ampere amp", "K": "kelvin", "mol": "mole",
    "Hz": "hertz", "N": "newton", "Pa": "pascal", "J": "joule", "W": "watt", "C": "coulomb", "V": "volt",
    "F": "farad", "Ω": "ohm", "S": "siemens", "Wb": "weber", "T": "tesla", "H": "henry", "lm": "lumen", "lx": "lux",
    "Bq": "becquerel", "L": "liter litre", "eV": "electronvolt", "B": "byte", "bit": "bit", "cal": "calorie",
    "Wh": "watthour", "bar": "bar", "t": "tonne ton",
}  # fmt: skip
"""Symbols that take a prefix, with their names."""
CHINESE_METRIC = {
    "米": "m", "克": "g", "秒": "s", "安": "A", "安培": "A", "赫兹": "Hz", "赫": "Hz", "牛": "N", "牛顿": "N",
    "帕": "Pa", "帕斯卡": "Pa", "焦": "J", "焦耳": "J", "瓦": "W", "瓦特": "W", "伏": "V", "伏特": "V", "欧": "Ω",
    "欧姆": "Ω", "升": "L",
}  # fmt: skip
CHINESE_PREFIXES = {"千": "k", "兆": "M", "分": "d", "厘": "c", "毫": "m", "微": "μ", "纳": "n"}
MEASURES = {
    "%": "percent|per cent|percentage|pct", "rad": "radian|弧度",
    "celsius": "°c|摄氏度|degree celsius|degrees celsius",
    "fahrenheit": "°f|华氏度|degree fahrenheit|degrees fahrenheit", "'": "arcminute|′", "''": "arcsecond",
    "dollar": "$|usd|us dollar|buck|美元|美金", "cent": "¢|美分", "yuan": "元|圆|rmb|cny|块钱|块|人民币|¥",
    "jiao": "角|毛", "fen": "分|分钱", "euro": "eur|€|欧元", "gbp": "£|pound|pound sterling|英镑|quid",
    "pence": "penny|p", "yen": "jpy|¥|日元|円", "rupee": "₹|inr|rs|卢比", "won": "₩|krw|韩元",
    "hkd": "hk$|hk dollar|港元|港币", "foot": "feet|ft|英尺|'", "inch": "in|英寸|''", "yard": "yd", "mile": "mi|英里",
    "nautical mile": "海里", "km": "公里", "light year": "光年|lightyear", "hectare": "ha|公顷", "acre": "英亩",
    "mu": "亩", "kg": "公斤", "t": "吨|metric ton", "jin": "斤", "liang": "两", "ounce": "oz", "lb": "pound|lbs|磅",
    "stone": "", "gallon": "gal|加仑", "quart": "qt", "pint": "pt", "cup": "", "tablespoon": "tbsp",
    "teaspoon": "tsp", "mL": "cc", "L": "l|公升", "cm": "公分", "s": "sec|秒钟", "minute": "min|分钟|分",
    "hour": "hr|h|小时|时|钟头", "day": "d|天|日", "week": "wk|周|星期|礼拜", "month": "mo|月|个月",
    "year": "yr|y|年|year old|years old", "year old": "years old|year of age|years of age|岁|周岁",
    "atm": "atmosphere", "mmHg": "", "revolution": "rev", "minute^-1·revolution": "rpm", "gallon^-1·mile": "mpg",
    "foot·s^-1": "fps", "li": "里",
    "horsepower": "hp", "knot": "", "unit": "", "square unit": "", "cubic unit": "", "dB": "decibel",
    "hour^-1·mile": "mph", "hour^-1·km": "kph|kmh|kmph", "parsec": "pc", "carat": "ct",
    "°": "degree|deg|度|angle degree",
}  # fmt: skip
"""Canonical name to other names; English plurals are added."""
COUNTED_THINGS = """
    people|person|persons|人|个人
    child|children man|men woman|women fish|fishes sheep leaf|leaves loaf|loaves mouse|mice
    animal apple bag ball balloon banana bead bean bird block book bottle box boy bracelet brick brownie bus button
    cake can candle candy car card carrot cat chair cherry chicken chocolate class coin combination cookie cow
    crayon cupcake customer deer desk digit dog doll donut duck edge egg email employee episode face family flower
    fly friend frog fruit game girl glass goal goat group guest handshake hat home horse house integer item jar
    jellybean job kid kitten lap leg lemon letter line lollipop marble match meal member mango|mangoes movie muffin nail
    necklace notebook number orange outcome pack package page painting pancake parrot participant passenger path
    peach pear pen pencil permutation pet photo pie piece pill pizza plane plant plate player point potato problem
    puppy question rabbit room rose sandwich scoop seat seed serving sheet shell shirt shoe side slice soldier
    solution song stamp staff step stick sticker store strawberry student subset table task teacher team ticket tile
    tire toddler tomato toy train tree triangle trip truck turtle value vertex|vertices visitor vote way wheel
    window word worker
    acorn adult ant app arrangement article baby bale bandage barrel basket basketball batch beaker bee berry biscuit
    boat bone bouquet branch bug camper cap carton case circle cloud coat colour|color container copy cracker crate
    cricket daisy decoration dessert diagonal dish divisor door doughnut dress ear earring envelope eraser eye factor
    female flight floor follower gem gift goldfish goose|geese grandchild|grandchildren grape guppy hamburger hole
    hotdog insect jellyfish key lamb log machine magazine male marshmallow meatball mistake mushroom newspaper night
    novel nut object onion outfit oyster paper parent pastry patient pebble petal phone picture pillow pin plank plum
    portion portrait poster present possibility rat rectangle region report rock root round row sailor sausage
    seashell section session shark shelf|shelves soda space spoon spot stair star sunflower sweet term token
    left|remaining|total tooth|teeth towel tray tub tube tulip turn vegetable wall watermelon wing
"""
"""What word problems ask the number of, in one form or as ``|`` alternatives; none of them changes a number."""
CLASSIFIERS = frozenset(
    "个只本人棵张辆盆页盒根朵块次下名条把颗筐束套组箱枚台袋件瓶副匹支架盏排间粒扇座行包位筒种层道节头株艘份户家句字题幅队"
    "桶杯碗盘片滴步圈段门枝面场列双级封首篇所串卷捆堆批堂届回趟遍声口尾峰羽顶项类样笔床轮列款集部发处线点群串团丛"
)
COUNT_CHANGERS = re.compile("[半多余几约倍折成打第前后不万千百亿零一二三四五六七八九十两又之左右上下来以]")
"""What changes a number within what follows a classifier: 5个半 is more than 5."""
HAN_POWERS = (("平方", 2), ("立方", 3), ("二次方", 2), ("三次方", 3))
CAPITALS = {
    "km": "km",
    "cm": "cm",
    "dm": "dm",
    "kg": "kg",
    "ml": "mL",
    "hz": "Hz",
    "khz": "kHz",
    "kw": "kW",
    "kwh": "kWh",
}
"""Symbols that people write in capitals; of the others another case is another unit."""
POWER_WORDS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
CURRENCIES = {"$": "dollar", "£": "gbp", "€": "euro", "¥": "¥", "₹": "rupee", "₩": "won", "₽": "ruble", "¢": "cent"}
REGIONS = {"US": "dollar", "U.S.": "dollar", "HK": "hkd", "A": "aud", "AU": "aud", "C": "cad", "CA": "cad", "NT": "twd"}
CODES = {
    "USD": "dollar", "EUR": "euro", "GBP": "gbp", "CNY": "yuan", "RMB": "yuan", "JPY": "yen", "INR": "rupee",
    "KRW": "won", "HKD": "hkd", "AUD": "aud", "CAD": "cad", "Rs": "rupee",
}  # fmt: skip
UNIT_SIZES = {
    "hour": ("time", 3600), "minute": ("time", 60), "s": ("time", 1), "day": ("time", 86400),
    "week": ("time", 604800), "year": ("age", 12), "month": ("age", 1), "°": ("angle", 3600), "'": ("angle", 60),
    "''": ("angle", 1), "yuan": ("yuan", 100), "jiao": ("yuan", 10), "fen": ("yuan", 1), "dollar": ("dollar", 100),
    "cent": ("dollar", 1), "gbp": ("gbp", 100), "pence": ("gbp", 1), "km": ("metre", 10**6), "m": ("metre", 1000),
    "dm": ("metre", 100), "cm": ("metre", 10), "mm": ("metre", 1), "t": ("gram", 10**9), "kg": ("gram", 10**6),
    "g": ("gram", 1000), "mg": ("gram", 1), "jin": ("jin", 10), "liang": ("jin", 1), "L": ("litre", 1000),
    "mL": ("litre", 1), "mile": ("inch", 63360), "yard": ("inch", 36), "foot": ("inch", 12), "inch": ("inch", 1),
    "lb": ("ounce", 16), "ounce": ("ounce", 1), "gallon": ("cup", 16), "quart": ("cup", 4), "pint": ("cup", 2),
    "cup": ("cup", 1),
}  # fmt: skip
"""Dimension and size: by them 5元6角 is 5.6元, and 1 hour 30 minutes is 1.5 hours."""
