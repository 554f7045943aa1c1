"""The English by which a refusal is told from a claim: words and phrases, in lower case."""

# ---
# Short forms and negations, as the same few words: "can't" is "can not", "unable" is "not able".
PLAIN = {"cannot": "can not", "cant": "can not", "can't": "can not", "won't": "will not", "wont": "will not",
         "never": "not", "unable": "not able", "impossible": "not possible", "ineligible": "not eligible",
         "unavailable": "not available", "nobody": "not", "neither": "not", "nor": "not", "shan't": "shall not",
         "dont": "do not", "doesnt": "does not", "isnt": "is not", "nowhere": "not", "anymore": "", "gonna": "going to",
}  # fmt: skip
ENDINGS = {"n't": "not", "'m": "am", "'re": "are", "'ve": "have", "'ll": "will", "'s": "is", "'d": "would"}
# What may stand before a "not" that denies, and what may follow one.
MODAL = {"can", "could", "will", "would", "may", "might", "must", "shall", "should"}
ABLE = {
    "able", "possible", "allowed", "permitted", "eligible", "available", "covered", "option", "supported",
    "offered", "entitled", "authorized", "authorised", "something", "anything", "position", "going", "allowable",
    "granted", "approved", "honored", "honoured", "met", "accepted", "done", "open", "what", "grounds", "carried",
    "within", "part", "feasible", "doable", "negotiable", "valid", "up", "included",
}  # fmt: skip
GRANTS = {
    "allow", "permit", "let", "qualify", "meet", "support", "accept", "cover", "offer", "provide", "do", "make",
    "grant", "give", "approve", "process", "handle", "authorize", "authorise", "entitle", "fall", "fit", "apply",
    "include", "extend", "enable", "leave", "have", "take", "carry",
}  # fmt: skip
# What may stand in between and means nothing here.
FILLER = {
    "to", "even", "yet", "currently", "actually", "quite", "really", "seem", "simply", "just", "also",
    "unfortunately", "be", "been", "able", "going", "now", "then", "so",
}  # fmt: skip
# What an agent may be unable to do without denying what was asked.
IDLE = {
    "find", "locate", "see", "hear", "wait", "thank", "tell", "recall", "remember", "imagine", "apologize",
    "apologise", "stress", "verify", "identify", "say", "believe", "agree", "look", "charged", "charge", "undone",
    "reversed", "undo", "reverse", "tracked", "worry", "hurt", "cost", "need", "affect", "happier", "sure",
    "certain", "read", "reach", "recommend", "emphasize", "emphasise", "promise", "guarantee", "understand",
    "recognise", "recognize", "view", "comment", "forget", "hesitate", "speak", "answer", "problem", "long",
    "easier", "happen", "express", "a", "an", "any",
}  # fmt: skip
# To serve somebody further, which denies nothing either.
BESIDES = {"more", "else", "further", "longer"}
SERVING = {"do", "help", "say", "tell", "offer", "assist", "serve", "keep", "think", "add"}
# What denies without a "not": verbs, what goes against a rule, set phrases, and how a part of a sentence may end.
REFUSING = {
    "decline", "declined", "declining", "declines", "refuse", "refused", "refusing", "deny", "denied", "denying",
    "reject", "rejected", "rejecting", "forbid", "forbids", "forbidden", "prohibit", "prohibits", "prohibited",
    "disallow", "disallowed", "disallows", "prevents", "bars", "barred", "precludes", "nonrefundable",
}  # fmt: skip
AGAINST = {"against", "outside", "beyond", "breach", "violate", "violates", "violation", "exceed", "exceeds"}
LAWS = {
    "policy", "policies", "rule", "rules", "terms", "guidelines", "conditions", "scope", "window", "limit",
    "limits", "regulations", "what", "that",
}  # fmt: skip
PHRASES = [
    "rules out", "rules it out", "turned down", "is a no", "off limits", "rule out", "ruled out",
    "out of the question", "off the table", "too late", "say no", "is no", "so no", "are tied", "no way to",
    "no way for", "no way around", "no way i", "no possibility", "no room", "no exception", "no exceptions",
    "no option to", "nothing i can", "nothing we can", "turn down", "turn this down", "turn it down",
    "turn that down", "out of stock", "out of bounds", "off the menu", "afraid not", "unfortunately not",
    "sorry not", "not in my power", "prevent me", "prevent us", "out of my hands", "no go", "beyond what",
    "past the point", "not for", "no can do", "unchanged", "untouched", "stands", "has to stay", "have to stay",
    "must stay", "must remain", "stays what", "stays where", "stays put", "stays as", "remains as", "keeps its",
    "no cancellation", "a no from", "nothing left for me", "no to", "too many", "too soon", "too heavy",
    "have to leave", "had to leave", "have to pass", "stays suspended", "stay suspended", "remains suspended",
    "remain suspended", "remains off", "stays off",
]  # fmt: skip
STAYING = [["as", "it", "is"], ["as", "they", "are"], ["as", "is"], ["way", "it", "is"], ["way", "they", "are"]]
# What only supposes or asks.
SUPPOSING = {"if", "whether", "why", "when", "unless", "until", "should", "once"}
ASKING = {
    "would", "could", "can", "is", "are", "was", "do", "does", "did", "will", "might", "have", "has", "so", "shall",
    "may", "which", "what",
}  # fmt: skip
# What is done to things: said of oneself it is a claim, said of a thing it may be a fact.
PAST = {
    "changed", "updated", "modified", "switched", "moved", "adjusted", "amended", "rescheduled", "rebooked",
    "redirected", "rerouted", "corrected", "cancelled", "canceled", "refunded", "credited", "reimbursed",
    "compensated", "waived", "booked", "reserved", "exchanged", "swapped", "replaced", "returned", "filed",
    "submitted", "lodged", "opened", "added", "removed", "sent", "granted", "approved", "arranged", "issued",
    "upgraded", "downgraded", "resumed", "unlocked", "activated", "enabled", "reactivated", "refueled", "processed",
    "completed", "finalized", "finalised", "made", "placed", "scheduled", "extended", "applied", "initiated",
    "started", "logged", "lifted", "restored", "topped", "held", "put", "set", "fixed", "raised", "transferred",
    "stopped", "taken", "took", "gave",
}  # fmt: skip
VERBS = {
    "change", "update", "modify", "switch", "move", "adjust", "amend", "reschedule", "rebook", "redirect",
    "reroute", "correct", "cancel", "refund", "credit", "reimburse", "compensate", "waive", "book", "reserve",
    "exchange", "swap", "replace", "return", "file", "lodge", "add", "remove", "grant", "approve", "arrange",
    "issue", "upgrade", "downgrade", "resume", "unlock", "activate", "enable", "refuel", "process", "complete",
    "finalize", "make", "extend", "apply", "put", "do", "set", "enter",
}  # fmt: skip
# What may be said of anything, and so tells nothing of which matter is meant.
VAGUE = {"changed", "updated", "modified", "adjusted", "amended", "made"}
# What one says of oneself without having changed a thing; whatever else ends like a past may be a claim.
HARMLESS = {
    "checked", "looked", "reviewed", "verified", "noticed", "confirmed", "explained", "mentioned", "received",
    "tried", "asked", "located", "searched", "wanted", "need", "understood", "appreciated", "hoped", "wished",
    "consulted", "inspected", "pulled", "worked", "considered", "realised", "realized", "examined", "apologized",
    "apologised", "missed", "assumed", "offered", "listed", "informed", "used", "attached", "shared", "learned",
    "needed", "obliged", "required", "bound", "limited", "allowed", "permitted", "concerned", "delighted",
    "pleased", "afraid", "tied", "stopped", "prevented", "supposed",
}  # fmt: skip
# Between "I" and what I did; what one does in talk; and what tells of an earlier time.
MEANWHILE = {
    "have", "has", "had", "just", "now", "also", "then", "gone", "ahead", "and", "went", "successfully", "already",
    "been", "is", "are", "go", "i", "we",
}  # fmt: skip
TALK = {
    "look", "note", "notes", "effort", "sure", "check", "clear", "mistake", "error", "point", "attempt", "review",
    "inquiry", "enquiry", "ticket", "feedback", "complaint",
}  # fmt: skip
EARLIER = {
    "already", "earlier", "previously", "before", "once", "twice", "ago", "originally", "last", "previous", "times",
    "was", "were", "by", "yesterday", "when",
}  # fmt: skip
UNCLAIMED = {"not", "no", "nothing", "unless", "until", "if", "once", "without", "would", "could"}
OPEN_YET = ["to be", "can be", "may be", "must be", "might be"]
# What says that something is done, or will be, whatever it is.
OVER = [
    "done", "taken care of", "went through", "gone through", "successful", "successfully", "sorted", "settled",
    "is complete", "all set", "as requested", "as you asked", "as you wished", "consider it", "is confirmed",
    "now confirmed", "made an exception", "went ahead", "gone ahead", "managed to", "was able to", "it worked",
    "good to go", "scratch that", "approved it", "after all", "anyway", "regardless",
]  # fmt: skip
PROMISES = ["i will", "we will", "i am going to", "we are going to", "let me", "let us"]
HASTE = ["now", "just", "also", "then", "go", "ahead", "and", "gladly", "happily", "immediately"]
