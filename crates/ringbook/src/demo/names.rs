//! Names and numbers of an invented company's clients: always the same ones.

/// What an organisation is called; `index` counts from 0 to 199.
pub(super) fn organisation(index: usize) -> String {
    const FORMS: [&str; 3] = ["ООО", "АО", "ООО"];
    const FIRST: [&str; 10] = [
        "Энерго",
        "Электро",
        "Строй",
        "Монтаж",
        "Свет",
        "Пром",
        "Сетевые ",
        "Техно",
        "Сев",
        "Юг",
    ];
    const SECOND: [&str; 20] = [
        "сервис",
        "комплект",
        "проект",
        "снаб",
        "трейд",
        "ресурс",
        "центр",
        "альянс",
        "инвест",
        "групп",
        "стандарт",
        "техника",
        "линия",
        "системы",
        "импульс",
        "контакт",
        "маркет",
        "вектор",
        "развитие",
        "партнёр",
    ];
    if index == 0 {
        return "ООО «Северный кабель»".to_owned();
    }
    let form = FORMS[index % FORMS.len()];
    format!(
        "{form} «{}{}»",
        FIRST[index / SECOND.len() % FIRST.len()],
        SECOND[index % SECOND.len()]
    )
}

/// Surname, first name and father's name; `index` counts from 0 to 399 and every name is another one.
pub(super) fn person(index: usize) -> String {
    const SURNAMES: [&str; 40] = [
        "Кузнецов",
        "Орлов",
        "Соколов",
        "Лебедев",
        "Морозов",
        "Волков",
        "Зайцев",
        "Павлов",
        "Семёнов",
        "Голубев",
        "Виноградов",
        "Богданов",
        "Воробьёв",
        "Фёдоров",
        "Михайлов",
        "Беляев",
        "Тарасов",
        "Белов",
        "Комаров",
        "Киселёв",
        "Макаров",
        "Андреев",
        "Ковалёв",
        "Ильин",
        "Гусев",
        "Титов",
        "Кузьмин",
        "Кудрявцев",
        "Баранов",
        "Куликов",
        "Алексеев",
        "Степанов",
        "Яковлев",
        "Сорокин",
        "Сергеев",
        "Романов",
        "Захаров",
        "Борисов",
        "Королёв",
        "Герасимов",
    ];
    const MEN: [&str; 10] = [
        "Андрей",
        "Дмитрий",
        "Сергей",
        "Алексей",
        "Павел",
        "Николай",
        "Игорь",
        "Олег",
        "Роман",
        "Михаил",
    ];
    const WOMEN: [&str; 10] = [
        "Ольга",
        "Елена",
        "Наталья",
        "Татьяна",
        "Ирина",
        "Светлана",
        "Марина",
        "Юлия",
        "Вера",
        "Галина",
    ];
    const FATHERS: [&str; 7] = [
        "Викторов",
        "Иванов",
        "Петров",
        "Андреев",
        "Николаев",
        "Сергеев",
        "Олегов",
    ];
    let surname = SURNAMES[index % SURNAMES.len()];
    let first = index / SURNAMES.len() % MEN.len();
    let father = FATHERS[index % FATHERS.len()];
    if index % 2 == 0 {
        format!("{surname} {} {father}ич", MEN[first])
    } else {
        format!("{surname}а {} {father}на", WOMEN[first])
    }
}

/// A mobile number as people type it, each another one; the ways of writing take turns.
pub(super) fn mobile(index: usize) -> String {
    const CODES: [&str; 10] = [
        "903", "905", "909", "915", "916", "917", "925", "926", "963", "985",
    ];
    let code = CODES[index % CODES.len()];
    let rest = 5_500_000 + index * 137;
    let (a, b, c) = (rest / 10_000, rest / 100 % 100, rest % 100);
    match index % 3 {
        0 => format!("+7 {code} {a}-{b:02}-{c:02}"),
        1 => format!("8 ({code}) {a}-{b:02}-{c:02}"),
        _ => format!("8{code}{a}{b:02}{c:02}"),
    }
}

/// The switchboard of an organisation as people type it.
pub(super) fn switchboard(index: usize) -> String {
    let rest = 7_400_000 + index * 211;
    format!(
        "8 (495) {}-{:02}-{:02}",
        rest / 10_000,
        rest / 100 % 100,
        rest % 100
    )
}

/// What the trunk writes for a number as typed: country code and digits.
pub(super) fn as_dialled(typed: &str) -> String {
    let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
    match digits.strip_prefix('8') {
        Some(rest) => format!("7{rest}"),
        None => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nobody_shares_a_name_or_a_number_by_chance() {
        let organisations: BTreeSet<_> = (0..200).map(organisation).collect();
        let persons: BTreeSet<_> = (0..400).map(person).collect();
        let mobiles: BTreeSet<_> = (0..800).map(|index| as_dialled(&mobile(index))).collect();
        assert_eq!(
            (organisations.len(), persons.len(), mobiles.len()),
            (200, 400, 800)
        );
        assert!(
            mobiles
                .iter()
                .all(|number| number.len() == 11 && number.starts_with("79"))
        );
        let switchboards: BTreeSet<_> = (0..200)
            .map(|index| as_dialled(&switchboard(index)))
            .collect();
        assert_eq!(switchboards.len(), 200);
        assert!(
            switchboards
                .iter()
                .all(|number| number.len() == 11 && number.starts_with("7495"))
        );
    }
}
