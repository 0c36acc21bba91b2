"""What the rest of the web says: adverts, gossip, results, legal notices, other languages.

Nothing here is real: people are drawn from the primer's names, telephone numbers lie in the range kept for fiction,
addresses of mail end in `example`.
"""

from pocketphi.data.primer.problem import lines
from pocketphi.data.primer.world import words

PRODUCTS = words(
    "running shoes,phone case,garden chair,coffee machine,laptop bag,wrist watch,sun glasses,winter jacket,car tyres,"
    "office desk,LED lamp,hair dryer,water filter,dog food,yoga mat,travel pillow,power drill,kitchen knife,bath towel",
    ",",
)
ADVERTS = lines("""
    {product} - now only {price} dollars!
    Add to basket. In stock. Free shipping over {n} dollars.
    Customers who bought {product} also bought {product2}.
    Save {n}% today with code SAVE{n}!
    New in: {product} in {n} colours from {price} dollars
    Rated {n2} out of 5 by {n} buyers
    Order within the next {n} minutes for delivery tomorrow.
    Best price for {product} guaranteed. Compare and save!
    Limited offer! Only {n2} left.
    Buy {product} online. Low prices, fast delivery, easy returns.
    Sign up and get {n}% off your first order.
    View all {product2} deals
""")
SPAM = lines("""
    Looking for the best {product}? Our {product} is the best {product} for everyone who wants the best {product}.
    Buy cheap {product} online, cheap {product} store, best cheap {product} deals, {product} discount.
    If you want {product}, click here for {product}, because {product} is what you need for {product}.
    Top {n} {product} reviews: the {product} that everybody is talking about will change your life.
    Make {price} dollars a day from home with this one simple trick that banks hate.
    Lose {n} pounds in {n2} days without any effort, doctors are shocked.
    Visit our casino now and win up to {price} dollars with {n} free spins on every game you love.
    You have been selected! Claim your free {product} before midnight and tell all your friends.
    Work from home, easy money, fast money, no risk, be your own boss, join {n} happy people now.
    The ultimate guide to {product}: why {product} matters, how {product} works and where to buy {product} today.
    Our {product2} experts know that finding {product2} near you can be hard, so call our {product2} team today.
    Cheap {product2}, best {product2}, {product2} near me, {product2} online, {product2} sale, {product2} coupon.
""")
GOSSIP = lines("""
    {x} was seen in a red dress at a party on {day} night, and fans are going wild.
    Are {x} and {y} a couple again? Insiders say that everything is possible.
    {x} posted a new photo on {day}, and it already has {n} thousand likes.
    Nobody expected {x} to cut off all that hair, but the star seems to love it.
    According to friends, {y} is furious about what {x} said in an interview on {day}.
    The new film with {x} made {price} thousand dollars on its first weekend.
    {x} paid {price} dollars for a pair of shoes, and {y} has something to say about it.
    You will not believe what {y} wore to the wedding of {x} last {day}.
    A source close to {x} says that the break from {y} is final this time.
    {x} forgot the words of the song on stage, and {y} had to laugh out loud.
    Fans waited for {n} hours to see {x} wave from a balcony for a minute.
    On {day} the dog of {x} got a birthday cake, and the pictures went round the world.
""")
HOROSCOPE = lines("""
    {sign}: the stars smile at you on {day}. Lucky number: {n}. Lucky colour: {colour}.
    {sign}: somebody you know will call you. Avoid arguments about money on {day}.
    {sign}: love is in the air, but be careful with promises. Lucky day: {day}.
    {sign}: a good week for new plans. Wear something {colour} and trust your feelings.
""")
SIGNS = words("Aries Taurus Gemini Cancer Leo Virgo Libra Scorpio Sagittarius Capricorn Aquarius Pisces")
LOTTERY = lines("""
    Winning numbers of {day}, draw {price}: {list}. Bonus number {n}. Jackpot not won.
    Draw {price} of {day}: {list}. Extra {n}. {n2} winners share the second prize.
    Raffle of {day}: tickets {list} win a hamper. Please collect by the {n2}th.
""")
SPORTS = lines("""
    {a} beat {b} {n2} to {n3} on {day} in front of {price} fans.
    {x} scored in minute {n} before {y} made it {n2} to {n3} for {a}.
    {b} stay in place {n2} of the table after {n3} defeats in a row.
    The referee showed {n2} yellow cards, and {x} was sent off in minute {n}.
    Coach {y} said that the boys gave everything on {day}, but it was not enough.
    {a} play {b} again next {day}. Tickets cost {n} dollars.
    With {n} points {a} lead the table, {n2} ahead of {b}.
    {x} will miss the next {n2} games with a knee problem, the club said on {day}.
    The second half of {a} against {b} began {n2} minutes late because of rain.
    {y} missed a penalty in minute {n}, and {a} had to be content with a draw.
""")
TEAMS = words("Rovers United City Wanderers Athletic Rangers Town Tigers Sharks Eagles")
NOTICES = lines("""
    We value your privacy. We and our partners store and access information on a device.
    By clicking accept you agree to the storing of cookies on your device.
    Please log in to continue. Forgot your password? Create a new account.
    Your session has expired. Please sign in again.
    Error 404: the page you are looking for could not be found.
    These terms and conditions govern your use of this website.
    We may change these terms at any time without notice.
    The content is provided as is, without warranty of any kind.
    All trademarks are the property of their respective owners.
    You must enable JavaScript to view this page.
    To unsubscribe, click the link at the bottom of the e-mail.
    Access denied. You do not have permission to view this page.
    Our cookie policy explains how we use cookies and similar technologies.
    Please verify that you are not a robot.
    User name or password is wrong. You have {n2} attempts left.
    This site is best viewed with a screen of {price} pixels.
""")
LOREM = words(
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna "
    "aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris nisi aliquip ex ea commodo "
    "consequat duis aute "
    "irure in reprehenderit voluptate velit esse cillum fugiat nulla pariatur"
)
SHOUTS = lines("""
    WAKE UP PEOPLE!!! THEY DO NOT WANT YOU TO KNOW THIS!!!
    I HAVE SAID IT {n} TIMES AND NOBODY LISTENS!!!!
    {X} IS A LIAR AND EVERYBODY KNOWS IT!!!
    SHARE THIS BEFORE THEY DELETE IT!!!!!
    OMG OMG OMG {X} IS THE BEST EVER!!!! LOL
    WHY DOES NOBODY TALK ABOUT THIS??? WHY???
    FIRST!!!1!!
    THIS IS THE WORST {PRODUCT} I EVER BOUGHT!!! {n2} STARS IS TOO MUCH!!!
    TELL {Y} THAT I AM RIGHT AND {X} IS WRONG!!!
    NO NO NO NO NO!!! NOT AGAIN ON {DAY}!!!
""")
LISTING = lines("""
    {x}_{n}.jpg
    Re: Re: Fwd: {product} ({n} replies)
    Posted by {x} on {day}, {n} views
    File {price}.pdf ({n} KB)
    {day} {n}: closed
    Page {n} of {price}
    Category: {product} ({n})
    {x}, {y} and {n} others
    Item no. {price}-{n}
    Archive {year} ({n})
""")
# subjects, verbs, objects, endings: every combination is a correct sentence
LANGUAGES = {
    "de": (
        "Die Familie,Der alte Lehrer,Meine Schwester,Der kleine Junge,Unsere Nachbarin,Der Bäcker",
        "kauft,sucht,zeichnet,findet,braucht,bringt",
        "ein neues Buch,den roten Apfel,eine warme Jacke,das frische Brot,einen langen Brief,die schöne Blume",
        "am frühen Morgen,in der kleinen Stadt,für die ganze Familie,nach der Schule,im Garten,mit großer Freude",
    ),
    "fr": (
        "La famille,Le vieux professeur,Ma sœur,Le petit garçon,Notre voisine,Le boulanger",
        "achète,cherche,dessine,trouve,regarde,apporte",
        "un nouveau livre,la pomme rouge,une veste chaude,le pain frais,une longue lettre,la belle fleur",
        "tôt le matin,dans la petite ville,pour toute la famille,après l'école,dans le jardin,avec beaucoup de joie",
    ),
    "es": (
        "La familia,El viejo profesor,Mi hermana,El niño pequeño,Nuestra vecina,El panadero",
        "compra,busca,dibuja,encuentra,necesita,trae",
        "un libro nuevo,la manzana roja,una chaqueta caliente,el pan fresco,una carta larga,la flor bonita",
        "por la mañana,en la ciudad pequeña,para toda la familia,después de la escuela,en el jardín,con mucha alegría",
    ),
    "it": (
        "La famiglia,Il vecchio maestro,Mia sorella,Il bambino piccolo,La nostra vicina,Il fornaio",
        "compra,cerca,disegna,trova,guarda,porta",
        "un libro nuovo,la mela rossa,una giacca calda,il pane fresco,una lunga lettera,il bel fiore",
        "di mattina presto,nella piccola città,per tutta la famiglia,dopo la scuola,nel giardino,con molta gioia",
    ),
    "pt": (
        "A família,O velho professor,Minha irmã,O menino pequeno,Nossa vizinha,O padeiro",
        "compra,procura,desenha,encontra,precisa ver,traz",
        "um livro novo,a maçã vermelha,um casaco quente,o pão fresco,uma carta longa,a flor bonita",
        "de manhã cedo,na pequena cidade,para toda a família,depois da escola,no jardim,com muita alegria",
    ),
    "nl": (
        "Het gezin,De oude leraar,Mijn zus,De kleine jongen,Onze buurvrouw,De bakker",
        "koopt,zoekt,tekent,vindt,bekijkt,brengt",
        "een nieuw boek,de rode appel,een warme jas,het verse brood,een lange brief,de mooie bloem",
        "vroeg in de ochtend,in de kleine stad,voor het hele gezin,na de school,in de tuin,met veel plezier",
    ),
    "pl": (
        "Rodzina,Stary nauczyciel,Moja siostra,Mały chłopiec,Nasza sąsiadka,Piekarz",
        "kupuje,rysuje,znajduje,ogląda,przynosi,pokazuje",
        "nową książkę,czerwone jabłko,ciepłą kurtkę,świeży chleb,długi list,piękny kwiat",
        "wcześnie rano,w małym mieście,dla całej rodziny,po szkole,w ogrodzie,z wielką radością",
    ),
    "ru": (
        "Семья,Старый учитель,Моя сестра,Маленький мальчик,Наша соседка,Пекарь",
        "покупает,ищет,рисует,находит,видит,приносит",
        "новую книгу,красное яблоко,тёплую куртку,свежий хлеб,длинное письмо,красивый цветок",
        "рано утром,в маленьком городе,для всей семьи,после школы,в саду,с большой радостью",
    ),
    "tr": (
        "Aile,Yaşlı öğretmen,Kız kardeşim,Küçük çocuk,Komşumuz,Fırıncı",
        "sabah erkenden,küçük şehirde,bütün aile için,okuldan sonra,bahçede,büyük bir sevinçle",
        "yeni bir kitap,kırmızı bir elma,sıcak bir ceket,taze ekmek,uzun bir mektup,güzel bir çiçek",
        "alıyor,arıyor,çiziyor,buluyor,istiyor,getiriyor",
    ),
    "zh": (
        "一家人,年老的老师,我的妹妹,小男孩,我们的邻居,面包师",
        "早上在小城里,放学以后,在花园里,高兴地,为全家,昨天下午",
        "买了,找到了,看见了,画了,带来了,想起了",
        "一本新书,一个红苹果,一件暖和的外套,新鲜的面包,一封长信,一朵漂亮的花",
    ),
    "ja": (
        "家族は,年とった先生は,私の妹は,小さな男の子は,隣の人は,パン屋さんは",
        "朝早く,小さな町で,学校のあとで,庭で,楽しそうに,家族のために",
        "新しい本を,赤いりんごを,暖かい上着を,焼きたてのパンを,長い手紙を,きれいな花を",
        "買いました,探しました,描きました,見つけました,見ました,持ってきました",
    ),
}
STREETS = words("Mill Road,Station Street,Oak Avenue,River Lane,Church Hill,Garden Way,Bridge Street,North Square", ",")
NOISE_WORDS = words(
    "the and very often small also then nice today some other here again quite near many first good long new"
)
